"""The authority's reply that our verifier accepts in a pack is one that `openssl ts` verifies over the same checkpoint."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tierproof_tsa.authority import Authority
from tierproof_tsa.identity import Making, load_or_create
from tierproof_tsa.ticks import Ticks
from tierproof_tsa.token import Terms

from tests.contract.verify import packs
from tests.contract.verify.loading import load

verifier = load()
pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed"),
    pytest.mark.requirement("LED-proof"),
    pytest.mark.part11("11.10(b)"),
]


@pytest.mark.parametrize(("late", "accepted"), [(302, True), (200, False)])
def test_openssl_verifies_the_stamp_of_a_pack(tmp_path: Path, late: int, *, accepted: bool) -> None:
    """A stamp from before an entry under it is sound for openssl, which sees no entries, and refused by the verifier."""

    def openssl(*arguments: str) -> str:
        ran = subprocess.run(["openssl", "ts", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        return ran.stdout

    log, at = packs.log_of(), datetime.fromtimestamp(packs.START + late, UTC)
    (tmp_path / "body").write_text(log.body(300))
    (tmp_path / "other").write_text(log.body(301))
    openssl("-query", "-data", "body", "-sha256", "-out", "query")
    identity = load_or_create(tmp_path / "key.pem", tmp_path / "tsa.pem", Making(name="tests", days=3650, at=at))
    with Ticks(tmp_path / "state", timedelta(seconds=1)) as ticks:
        terms = Terms(policy="2.25.1", accuracy_ms=1500)
        authority = Authority(identity=identity, terms=terms, ticks=ticks, clock=lambda: at)
        log.stamps[300] = authority.answer((tmp_path / "query").read_bytes())
    (tmp_path / "pack").mkdir()
    folder = log.write(tmp_path / "pack")
    report = verifier.verify(str(folder), log.trust())
    assert (report["verified"], report["time_stamps"]) == (accepted, 1), report["faults"]
    trust: tuple[str, ...] = ("-in", str(folder / "timestamps/300.tsr"), "-CAfile", "tsa.pem", "-untrusted", "tsa.pem")
    trust += ("-attime", str(packs.START + 400))
    assert "Verification: OK" in openssl("-verify", "-data", "body", *trust)
    assert "Verification: OK" not in openssl("-verify", "-data", "other", *trust)
    (folder / "timestamps/300.tsr").rename(folder / "timestamps/400.tsr")
    packs.seal(folder, log)
    assert not verifier.verify(str(folder), log.trust())["verified"]
