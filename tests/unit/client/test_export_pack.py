"""An export pack, written from a log that this file makes up, and taken apart again by what the specifications say."""

import asyncio
import base64
import csv
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tierproof import exporting, pack
from tierproof.errors import ClientError, RefusedByLedger
from tierproof_contracts import audit
from tierproof_contracts.canonical import canonical_json
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import leaf_hash, root_of
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.tlog_proof import verify_proof
from tierproof_proofs.trust import Trust

SIGNER = NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"log key seed, for tests only 32b"))
TRUST = Trust(log_keys=(LogKey(key=SIGNER.verifier_key),))
Heard = list[tuple[str, int, int]]


def entry(index: int, **data: Any) -> bytes:
    event = {
        "id": f"00000000-0000-4000-8000-{index:012x}",
        "type": "task.submitted.v1",
        "source": "tests",
        "time": "2026-11-01T12:00:00Z",
        "data": {"tenant": "acme", "actor": "ada", "task_id": f"acme_{index:032x}"} | data,
    }
    return canonical_json({"entry": 1, "kind": "event", "recorded_at": "2026-11-01T12:00:01Z", "event": event})


class FakeLedger:
    """Answers export pages of a few entries each; a selection takes the entries of odd indexes."""

    def __init__(self, entries: Sequence[bytes], page: int = 7) -> None:
        self.entries, self._page = entries, page
        self.size = len(entries)
        levels = [[leaf_hash(each) for each in entries]]
        while full := len(levels[-1]) // 256:
            levels.append([root_of(levels[-1][n * 256 : n * 256 + 256]) for n in range(full)])
        self.tiles = [
            (level, n, hashes[n * 256 : n * 256 + 256])
            for level, hashes in enumerate(levels)
            for n in range(-(-len(hashes) // 256))
        ]
        root = root_of(levels[0])
        self.note = sign_checkpoint(Checkpoint(origin=SIGNER.name, size=self.size, root=root), SIGNER)
        self.asked: list[Any] = []

    async def ask(self, question: Any, answer: type[Any]) -> Any:
        self.asked.append(question)
        await asyncio.sleep(0)
        answers: dict[type[Any], Callable[..., dict[str, Any]]] = {
            audit.ExportEntriesAsked: self._entries,
            audit.ExportTilesAsked: self._tiles,
            audit.ExportCheckpointsAsked: self._checkpoints,
            audit.ExportStampsAsked: self._stamps,
        }
        return answer(export=5, **answers[type(question)](question))

    def _entries(self, question: audit.ExportEntriesAsked) -> dict[str, Any]:
        step = 2 if question.filters() else 1
        places = [n for n in range(step - 1, self.size, step) if question.after is None or n > question.after]
        told = tuple(audit.RawEntry(index=n, entry=self.entries[n].decode()) for n in places[: self._page])
        note = self.note if question.size is None else None
        return {"size": self.size, "checkpoint": note, "entries": told, "more": len(places) > len(told)}

    def _tiles(self, question: audit.ExportTilesAsked) -> dict[str, Any]:
        at = [(level, n) for level, n, _ in self.tiles].index((question.level, question.n))
        told = tuple(
            audit.HashTile(level=level, n=n, width=len(hashes), hashes=base64.b64encode(b"".join(hashes)).decode())
            for level, n, hashes in self.tiles[at : at + 2]
        )
        after = self.tiles[at + 2 : at + 3]
        return {"tiles": told, "next_level": after[0][0] if after else None, "next_n": after[0][1] if after else None}

    def _checkpoints(self, question: audit.ExportCheckpointsAsked) -> dict[str, Any]:
        told = audit.CheckpointNote(size=self.size, note=self.note)
        return {"checkpoints": (told,) if question.after < self.size else (), "more": question.after < self.size}

    def _stamps(self, _: audit.ExportStampsAsked) -> dict[str, Any]:
        return {"stamps": (audit.TimeStamp(size=self.size, reply="AAEC"),), "more": False}


def exported(ledger: FakeLedger, target: Path, proofs: int = 1000, **filters: Any) -> tuple[dict[str, Any], Heard]:
    heard: Heard = []
    wanted = exporting.Wanted(
        question=audit.ExportEntriesAsked(**filters),
        trust=TRUST,
        verifier=b"# the verifier\n",
        made_by="auditor",
        made_at="2026-11-01T13:00:00Z",
        proofs=proofs,
    )
    said = asyncio.run(exporting.export(ledger.ask, target, wanted, lambda *about: heard.append(about)))
    return said, heard


def log(size: int) -> FakeLedger:
    return FakeLedger([entry(n) for n in range(size)])


@pytest.mark.requirement("LED-query")
@pytest.mark.parametrize("size", [1, 255, 256, 257, 600])
def test_a_pack_of_the_whole_log_is_a_tlog_tiles_mirror(tmp_path: Path, size: int) -> None:
    ledger = log(size)
    said, _ = exported(ledger, tmp_path / "pack")
    folder = tmp_path / "pack"
    checkpoint = open_checkpoint((folder / "checkpoint").read_bytes(), TRUST.log_keys)
    assert (said["size"], said["root"], said["entries"]) == (size, checkpoint.root.hex(), size)
    assert (said["selection"], said["log"], said["made_by"]) == ({}, "ledger.example/tests", "auditor")
    bundled: list[bytes] = []
    for n in range(-(-size // 256)):
        width = min(256, size - n * 256)
        content = (folder / (f"tile/entries/{n:03}" + ("" if width == 256 else f".p/{width}"))).read_bytes()
        while content:
            (length,) = struct.unpack(">H", content[:2])
            bundled.append(content[2 : 2 + length])
            content = content[2 + length :]
    assert bundled == list(ledger.entries)
    lines = (folder / "entries.jsonl").read_bytes().splitlines()
    assert [line[line.index(b'"entry":') + 8 : -1] for line in lines] == bundled
    assert [json.loads(line)["index"] for line in lines] == list(range(size))
    leaves = b"".join(
        (folder / (f"tile/0/{n:03}" + ("" if size - n * 256 >= 256 else f".p/{size - n * 256}"))).read_bytes()
        for n in range(-(-size // 256))
    )
    assert leaves == b"".join(map(leaf_hash, bundled))
    for name, digest in said["files"].items():
        assert digest == "sha256:" + hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert said["files"].keys() == {
        *("README.md", "checkpoint", "checkpoints.jsonl", "entries.csv", "entries.jsonl", "keys.json", "policy"),
        *("tierproof_verify.py", f"timestamps/{size}.tsr"),
    }
    assert not (folder / "proofs").exists()


@pytest.mark.requirement("LED-query")
def test_a_selection_carries_a_proof_of_each_entry(tmp_path: Path) -> None:
    ledger = log(600)
    said, _ = exported(ledger, tmp_path / "pack", tenant="acme")
    assert (said["selection"], said["entries"]) == ({"tenant": "acme"}, 300)
    assert {path.name for path in (tmp_path / "pack/proofs").iterdir()} == {f"{n}.tlog-proof" for n in range(1, 600, 2)}
    for n in (1, 255, 257, 511, 599):
        text = (tmp_path / f"pack/proofs/{n}.tlog-proof").read_text()
        assert verify_proof(text, ledger.entries[n], TRUST.log_policy).index == n
    assert not (tmp_path / "pack/tile/entries").exists()


def test_proofs_are_bounded_and_the_manifest_says_so(tmp_path: Path) -> None:
    said, _ = exported(log(300), tmp_path / "pack", proofs=10, tenant="acme")
    assert (said["proofs"], said["entries"]) == (10, 150)
    assert len(list((tmp_path / "pack/proofs").iterdir())) == 10


@pytest.mark.requirement("LED-query")
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    words = f'{start}cmd|" /C calc"!A0,\n"x'
    ledger = FakeLedger([entry(0, reason=words, actor=words, tenant=words)])
    exported(ledger, tmp_path / "pack")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "pack/entries.csv").read_bytes().decode(), newline="")))
    assert [rows[0][name] for name in ("reason", "actor", "tenant")] == ["'" + words] * 3
    assert rows[0]["index"] == "0"


def test_a_zip_holds_the_same_and_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip", "folder"):
        exported(log(300), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    files = {
        path.relative_to(tmp_path / "folder").as_posix(): path.read_bytes()
        for path in (tmp_path / "folder").rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


def test_the_snapshot_is_fixed_by_the_first_page(tmp_path: Path) -> None:
    ledger = log(40)
    exported(ledger, tmp_path / "pack", as_of="2026-11-01T12:30:00Z", reason="inspection")
    first, *later = ledger.asked
    assert (first.as_of, first.size, first.export) == ("2026-11-01T12:30:00Z", None, None)
    assert all((question.size, question.export) == (40, 5) for question in later)
    assert all(question.as_of is None for question in later if isinstance(question, audit.ExportEntriesAsked))


def test_nothing_stands_there_before_it_is_whole(tmp_path: Path) -> None:
    ledger = log(40)

    async def fails(question: Any, answer: type[Any]) -> Any:
        if isinstance(question, audit.ExportTilesAsked):
            raise RefusedByLedger("unavailable", "the ledger is down")
        return await FakeLedger.ask(ledger, question, answer)

    ledger.ask = fails  # type: ignore[method-assign]
    for name in ("pack", "pack.zip"):
        with pytest.raises(RefusedByLedger):
            exported(ledger, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "pack.zip").write_bytes(b"mine")
    with pytest.raises(ClientError, match="there already"):
        exported(log(3), tmp_path / "pack.zip")
    assert (tmp_path / "pack.zip").read_bytes() == b"mine"
    with pytest.raises(ClientError, match="no/such"):
        exported(log(3), tmp_path / "no/such/pack")


def test_another_log_is_not_exported(tmp_path: Path) -> None:
    ledger = log(3)
    other = NoteSigner(name="somebody.example/else", signer=SIGNER.signer)
    ledger.note = sign_checkpoint(Checkpoint(origin=other.name, size=3, root=bytes(32)), other)
    with pytest.raises(ClientError, match=r"somebody\.example"):
        exported(ledger, tmp_path / "pack")


ASTRAY: dict[str, tuple[type[Any], Callable[[Any], Any]]] = {
    "more, and then nothing": (audit.ExportedEntries, lambda page: page.model_copy(update={"more": True})),
    "entries backwards": (audit.ExportedEntries, lambda page: page.model_copy(update={"entries": page.entries[::-1]})),
    "entries beyond the size": (
        audit.ExportedEntries,
        lambda page: page.model_copy(update={"entries": (audit.RawEntry(index=10**6, entry="{}"),)}),
    ),
    "fewer entries than there are": (
        audit.ExportedEntries,
        lambda page: page.model_copy(update={"entries": page.entries[1:]}),
    ),
    "no tile": (audit.ExportedTiles, lambda page: page.model_copy(update={"tiles": ()})),
    "another tile": (
        audit.ExportedTiles,
        lambda page: page.model_copy(update={"tiles": tuple(t.model_copy(update={"n": t.n + 1}) for t in page.tiles)}),
    ),
    "a tile too narrow": (
        audit.ExportedTiles,
        lambda page: page.model_copy(update={"tiles": tuple(t.model_copy(update={"width": 1}) for t in page.tiles)}),
    ),
    "a checkpoint of the future": (
        audit.ExportedCheckpoints,
        lambda page: page.model_copy(update={"checkpoints": (audit.CheckpointNote(size=10**6, note=""),)}),
    ),
    "a time stamp again and again": (audit.ExportedStamps, lambda page: page.model_copy(update={"more": True})),
}


@pytest.mark.parametrize(("form", "astray"), ASTRAY.values(), ids=ASTRAY.keys())
def test_a_ledger_whose_answers_lead_nowhere_is_left(
    tmp_path: Path, form: type[Any], astray: Callable[[Any], Any]
) -> None:
    ledger = log(300)
    honest = ledger.ask

    async def lies(question: Any, answer: type[Any]) -> Any:
        given = await honest(question, answer)
        return astray(given) if answer is form else given

    ledger.ask = lies  # type: ignore[method-assign]
    with pytest.raises(ClientError, match="the ledger gave"):
        exported(ledger, tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_with_everything(tmp_path: Path) -> None:
    _, heard = exported(log(600), tmp_path / "pack")
    last: dict[str, tuple[int, int]] = {what: (done, every) for what, done, every in heard}
    assert last["entries"] == (600, 600)
    assert last["tiles"][0] == last["tiles"][1] == 4
    assert last["checkpoints"] == (600, 600)


@pytest.mark.parametrize(
    ("n", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (5, 1, "tile/0/005.p/1"),
        (999, 256, "tile/0/999"),
        (1000, 256, "tile/0/x001/000"),
        (1234067, 8, "tile/0/x001/x234/067.p/8"),
    ],
)
def test_tile_paths_are_those_of_the_specification(n: int, width: int, path: str) -> None:
    assert pack.tile_path(0, n, width) == path


def test_the_columns_are_those_of_the_search() -> None:
    told: Callable[..., dict[str, object]] = lambda value: dict(zip(pack.COLUMNS, pack.told(3, value), strict=True))  # noqa: E731
    rejected = told({"kind": "rejected", "recorded_at": "t", "task_id": "acme_0", "reason": "not JSON"})
    assert (rejected["task_id"], rejected["reason"], rejected["actor"]) == ("acme_0", "not JSON", None)
    signed = told({"event": {"source": "reviewer", "data": {"signer": "ada", "because": "b"}}})
    assert (signed["actor"], signed["reason"]) == ("ada", "b")
