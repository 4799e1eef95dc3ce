"""`tierproof ledger export`: what it asks, and how it checks what it wrote; the ledger and the verifier are stand-ins."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from rich.console import Console
from tierproof.cli import export as command
from tierproof.cli import output
from tierproof.connection import Connection
from tierproof_contracts import audit
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import leaf_hash
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

SIGNER = NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"log key seed, for tests only 32b"))
SOUND = 'import json, sys\nprint(json.dumps({"checked": sys.argv[1:]}))\n'
DAMAGED = 'print("entry 0: another leaf")\nraise SystemExit(1)\n'
ENTRY = '{"entry":1,"kind":"event"}'
Exporting = Callable[..., Any]


@pytest.fixture
def exporting(
    tierproof: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Exporting, list[Any]]:
    """Run `tierproof ledger export` against a log of one entry, with a verifier of these words."""
    root = leaf_hash(ENTRY.encode())
    note = sign_checkpoint(Checkpoint(origin=SIGNER.name, size=1, root=root), SIGNER)
    (tmp_path / "trust.json").write_text(Trust(log_keys=(LogKey(key=SIGNER.verifier_key),)).to_json())
    monkeypatch.setenv("TIERPROOF_TRUST", str(tmp_path / "trust.json"))
    monkeypatch.setenv("TIERPROOF_NATS_URL", "nats://nowhere")
    asked: list[Any] = []
    answers: dict[type[Any], dict[str, Any]] = {
        audit.ExportedEntries: {
            "size": 1,
            "checkpoint": note,
            "entries": (audit.RawEntry(index=0, entry=ENTRY),),
            "more": False,
        },
        audit.ExportedTiles: {
            "tiles": (audit.HashTile(level=0, n=0, width=1, hashes=base64.b64encode(root).decode()),)
        },
        audit.ExportedCheckpoints: {"checkpoints": (audit.CheckpointNote(size=1, note=note),), "more": False},
        audit.ExportedStamps: {"stamps": (), "more": False},
    }

    async def nothing(*_: object) -> None:
        return

    async def ask(_: Connection, question: Any, answer: type[Any], *_more: object) -> Any:
        asked.append(question)
        return answer(export=0, **answers[answer])

    monkeypatch.setattr(Connection, "open", nothing)
    monkeypatch.setattr(Client, "close", nothing)
    monkeypatch.setattr(Connection, "ask", ask)

    def run(verifier: str, *arguments: object) -> Any:
        (tmp_path / "verifier.py").write_text(verifier)
        monkeypatch.setattr(command, "verifier_file", lambda: tmp_path / "verifier.py")
        return tierproof("ledger", "export", *arguments)

    return run, asked


@pytest.mark.requirement("LED-query")
def test_a_pack_is_checked_by_the_verifier_on_its_own(exporting: tuple[Exporting, list[Any]], tmp_path: Path) -> None:
    run, asked = exporting
    ran = run(
        SOUND, "--to", "pack", "--tenant", "acme", "--as-of", "2026-11-01T12:00:00Z", "--reason", "audit", "--json"
    )
    assert ran.code == 0
    said = ran.value
    assert (said["entries"], said["selection"], said["to"]) == (1, {"tenant": "acme"}, "pack")
    assert said["verified"] == {"checked": ["pack", "--trust", str(tmp_path / "trust.json"), "--json"]}
    assert (asked[0].tenant, asked[0].as_of, asked[0].reason) == ("acme", "2026-11-01T12:00:00Z", "audit")
    assert (tmp_path / "pack/tierproof_verify.py").read_text() == SOUND
    assert json.loads((tmp_path / "pack/manifest.json").read_text())["root"] == said["root"]
    assert "entries: 1" in ran.err


def test_a_pack_that_does_not_verify_is_named(exporting: tuple[Exporting, list[Any]]) -> None:
    run, _ = exporting
    ran = run(DAMAGED, "--to", "pack.zip")
    assert (ran.code, ran.out) == (1, "")
    assert "does NOT verify: entry 0: another leaf" in ran.err


def test_without_verification_the_command_says_so(exporting: tuple[Exporting, list[Any]]) -> None:
    run, _ = exporting
    ran = run(DAMAGED, "--to", "pack.zip", "--no-verify")
    assert ran.code == 0
    assert "not verified" in ran.out


def test_a_trust_file_that_is_none_is_named(exporting: tuple[Exporting, list[Any]], tmp_path: Path) -> None:
    run, asked = exporting
    ran = run(SOUND, "--to", "pack", "--trust", "absent.json")
    assert (ran.code, "absent.json" in ran.err) == (1, True)
    (tmp_path / "odd.json").write_text("{}")
    ran = run(SOUND, "--to", "pack", "--trust", "odd.json")
    assert (ran.code, "log_keys" in ran.err, asked) == (1, True, [])


def test_without_a_verifier_nothing_is_asked(
    exporting: tuple[Exporting, list[Any]], monkeypatch: pytest.MonkeyPatch, tierproof: Callable[..., Any]
) -> None:
    monkeypatch.setattr(command, "VERIFIER", "no_such_module")
    ran = tierproof("ledger", "export", "--to", "pack")
    assert (ran.code, "tierproof-verify" in ran.err, exporting[1]) == (1, True, [])


@pytest.mark.parametrize("terminal", [True, False])
def test_headway_is_a_bar_on_a_terminal_and_few_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(output, "aside", Console(file=said, force_terminal=terminal, width=100))
    with output.Headway() as headway:
        for done in range(1000):
            headway.heard("tiles", done, 1000)
            headway.heard("entries", done, 0)
        headway.heard("packing", 0, 0)
    words = said.getvalue()
    assert "tiles" in words
    assert "packing" in words
    if not terminal:
        assert len(words.splitlines()) < 30
        assert "tiles: 900 of 1000" in words
        assert "entries: 100" in words
