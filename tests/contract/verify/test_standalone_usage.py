"""What a stranger mistypes is named in words of the verifier, with exit code 2."""

import json
from pathlib import Path

import pytest

from tests.contract.verify import packs
from tests.contract.verify.loading import load
from tests.contract.verify.packs import log_of

verifier = load()
pytestmark = pytest.mark.requirement("LED-proof")
OTHER = "0" * 64


@pytest.mark.parametrize(
    ("trust", "known", "words"),
    [
        ('{"log_keys": []}', [], "trust file: names no log_keys"),
        ("[]", [], "trust file: names no log_keys"),
        ('{"log_keys": 5}', [], "trust file: unreadable"),
        ("nonsense", [], "trust file: unreadable"),
        (None, ["abc"], "--known is SIZE:ROOT"),
        (None, ["0:" + OTHER], "--known is SIZE:ROOT"),
        (None, ["20:" + OTHER, "20:{root}"], "two roots of one size"),
        (None, ["20:{root}", "20:" + OTHER], "two roots of one size"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trust: str | None, known: list[str], words: str
) -> None:
    log = log_of(20)
    (tmp_path / "pack").mkdir()
    pack = log.write(tmp_path / "pack")
    path = tmp_path / "trust.json"
    path.write_bytes(log.trust() if trust is None else trust.encode())
    root = packs.root_of(log.hashes).hex()
    options = [part for each in known for part in ("--known", each.replace("{root}", root))]
    assert verifier.main([str(pack), "--trust", str(path), "--json", *options]) == 2
    assert words in json.loads(capsys.readouterr().out)["unusable"]


def test_a_root_that_was_noted_twice_is_one(tmp_path: Path) -> None:
    log = log_of(20)
    (tmp_path / "pack").mkdir()
    pack = log.write(tmp_path / "pack")
    (tmp_path / "trust.json").write_bytes(log.trust())
    noted = f"20:{packs.root_of(log.hashes).hex()}"
    options = ["--known", noted, "--known", noted.upper()]
    assert verifier.main([str(pack), "--trust", str(tmp_path / "trust.json"), *options]) == 0
