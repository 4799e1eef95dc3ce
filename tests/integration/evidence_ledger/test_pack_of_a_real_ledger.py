"""A stranger gets a pack of a real ledger, and has one file of Python: sound it verifies, and touched anywhere it does not."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tierproof_embedded.testing import NatsServer, PostgresServer

from tests.integration.evidence_ledger.carried_away import Packs, carried_away
from tests.integration.evidence_ledger.ledger_database import LedgerDatabase
from tests.integration.evidence_ledger.pack_copy import Copy
from tests.integration.evidence_ledger.pack_edits import WHOLE
from tests.integration.evidence_ledger.pack_edits_elsewhere import SELECTED, TRUSTING, cut_short

pytestmark = [pytest.mark.requirement("LED-proof"), pytest.mark.requirement("LED-query")]


@pytest.fixture(scope="module")
def packs(
    start_nats: Callable[[], AbstractContextManager[NatsServer]],
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Packs]:
    """Packs of one ledger, which works once for all tests here."""
    name = postgres_server.create_database()
    with start_nats() as broker:
        ledger = LedgerDatabase.migrated(postgres_server, name)
        yield carried_away(broker, ledger, tmp_path_factory.mktemp("ledger"))
    postgres_server.drop_database(name)


def verified(packs: Packs, pack: Path, *options: str, alone: bool = False) -> tuple[int, dict[str, Any]]:
    """Return exit code and report of the pack's own verifier: isolated, `alone` without any package, away from the repository."""
    command = [
        sys.executable,
        "-I",
        *(["-S"] if alone else []),
        str(packs.whole / "tierproof_verify.py"),
        str(pack),
        "--json",
    ]
    trust = [] if "--trust" in options else ["--trust", str(packs.trust)]
    ran = subprocess.run([*command, *trust, *options], cwd="/", env={}, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.returncode, json.loads(ran.stdout)


@pytest.mark.part11("11.10(b)")
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("which", ["whole", "archive", "selected"])
def test_a_pack_of_a_real_ledger_verifies(packs: Packs, which: str, *, alone: bool) -> None:
    code, report = verified(packs, getattr(packs, which), alone=alone)
    assert (code, report["faults"]) == (0, [])
    assert report["time_stamps"] >= 3
    assert report["full"] is (which != "selected")
    assert any("ML-DSA" in each for each in report["not_checked"]) is alone


@pytest.fixture
def copy(packs: Packs, tmp_path: Path) -> Copy:
    """A copy of the whole log's pack."""
    return Copy(Path(shutil.copytree(packs.whole, tmp_path / "pack")))


@pytest.mark.part11("11.10(a)")
@pytest.mark.parametrize("edit", WHOLE)
def test_a_touched_pack_is_refused_and_the_first_bad_index_named(packs: Packs, copy: Copy, edit: str) -> None:
    bad = WHOLE[edit](copy)
    if not edit.startswith("the manifest"):
        copy.manifest()
    code, report = verified(packs, copy.folder)
    assert (code, report["verified"], report["first_bad_index"]) == (1, False, bad), report["faults"]


@pytest.mark.part11("11.10(a)")
@pytest.mark.parametrize("edit", ["another origin", "a cosignature of another checkpoint", "a review moved", "a leaf"])
def test_nor_does_it_pass_where_no_package_is(packs: Packs, copy: Copy, edit: str) -> None:
    bad = WHOLE[edit](copy)
    copy.manifest()
    code, report = verified(packs, copy.folder, alone=True)
    assert (code, report["first_bad_index"]) == (1, bad), report["faults"]


@pytest.mark.part11("11.10(a)")
@pytest.mark.parametrize("edit", SELECTED)
def test_a_touched_selection_is_refused(packs: Packs, tmp_path: Path, edit: str) -> None:
    copy = Copy(Path(shutil.copytree(packs.selected, tmp_path / "pack")))
    bad = SELECTED[edit](copy)
    if edit != "the rotation dropped":
        copy.manifest()
    code, report = verified(packs, copy.folder)
    assert (code, report["first_bad_index"]) == (1, bad), report["faults"]


@pytest.mark.parametrize("edit", TRUSTING)
def test_who_believes_others_is_told_so(packs: Packs, copy: Copy, tmp_path: Path, edit: str) -> None:
    trust = json.loads(packs.trust.read_text())
    bad = TRUSTING[edit](copy, trust)
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    code, report = verified(packs, packs.whole, "--trust", str(tmp_path / "trust.json"))
    assert (code, report["first_bad_index"]) == (1, bad), report["faults"]


@pytest.mark.parametrize("trust", ["quorum", "log_keys", "nonsense"])
def test_a_trust_file_that_makes_no_sense_is_said(packs: Packs, tmp_path: Path, trust: str) -> None:
    said = json.loads(packs.trust.read_text()) | {trust: 2}
    (tmp_path / "trust.json").write_text(json.dumps(said))
    code, report = verified(packs, packs.whole, "--trust", str(tmp_path / "trust.json"))
    assert (code, report["verified"]) == (2, False)


@pytest.mark.part11("11.10(a)")
def test_a_log_that_is_cut_short_is_found_by_who_remembers_more(packs: Packs, copy: Copy) -> None:
    """Every signature that is left is right: only a checkpoint from elsewhere tells."""
    newest = json.loads((copy.folder / "manifest.json").read_text())
    size = cut_short(copy)
    assert verified(packs, copy.folder)[0] == 0
    code, report = verified(packs, copy.folder, "--known", f"{newest['size']}:{newest['root']}")
    assert (code, report["first_bad_index"]) == (1, size)
    other = f"{size}:{newest['root']}"
    assert verified(packs, copy.folder, "--known", other)[1]["first_bad_index"] is not None
