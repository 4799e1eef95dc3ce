"""Carrying a log away: asks the ledger page by page and writes the pack, whole or not at all."""

import asyncio
import base64
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from tierproof_contracts import audit
from tierproof_contracts.questions import Question
from tierproof_proofs.checkpoint import Checkpoint, parse_checkpoint
from tierproof_proofs.note import parse_note
from tierproof_proofs.policy import policy_of
from tierproof_proofs.trust import Trust

from tierproof import pack
from tierproof.connection import AnswerT
from tierproof.errors import ClientError

ZIP = ".zip"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same content gives the same file
TILES_IN_MEMORY = 512  # 8 KiB each as hashes, several times that as objects


class Ask(Protocol):
    """Asks the ledger one question (`tierproof.connection.Connection.ask`)."""

    async def __call__(self, question: Question, answer: type[AnswerT], /) -> AnswerT:
        """Return the answer; raises ClientError."""


# What is being carried, how much of it is there, and how much there will be (0: nobody knows).
Heard = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to carry away, and what the pack says about itself. `proofs` bounds the proofs of a selection."""

    question: audit.ExportEntriesAsked
    trust: Trust
    verifier: bytes
    made_by: str
    made_at: str
    proofs: int


async def export(ask: Ask, target: Path, wanted: Wanted, heard: Heard) -> dict[str, Any]:
    """Write a pack, a folder or a .zip, and return its manifest; nothing stands at `target` before it is whole.

    Raises ClientError, also when something stands there already.
    """
    partial = _beside_target(target)
    try:
        said = await _fill(ask, partial, wanted, heard)
        heard("packing", 0, 0)
        await asyncio.to_thread(_put, partial, target)
    except OSError as error:
        raise ClientError(f"{target}: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return said


def _beside_target(target: Path) -> Path:
    if target.exists():
        raise ClientError(f"{target}: is there already; name another place")
    try:
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ClientError(f"{target}: {error.strerror}") from None


async def _fill(ask: Ask, folder: Path, wanted: Wanted, heard: Heard) -> dict[str, Any]:
    first = await ask(wanted.question, audit.ExportedEntries)
    note = first.checkpoint or ""
    checkpoint = parse_checkpoint(parse_note(note.encode()).text)
    if (checkpoint.size, checkpoint.origin) != (first.size, wanted.trust.origin):
        raise ClientError(
            f"the ledger gave a checkpoint of {checkpoint.origin} at {checkpoint.size}; {wanted.trust.origin} was expected"
        )
    selection = wanted.question.filters()
    indexes, count = await _entries(ask, folder, wanted, first, heard)
    tiles = await _tiles(ask, folder, first, heard)
    if selection:
        _prove(folder, indexes, tiles, note, heard)
    await _signatures(ask, folder, first, heard)
    _beside(folder, wanted, checkpoint, note, count)
    members = {"proofs": wanted.proofs} if selection else {}
    return pack.manifest(
        folder,
        checkpoint,
        selection=selection,
        entries=count,
        made_at=wanted.made_at,
        made_by=wanted.made_by,
        **members,
    )


async def _entries(
    ask: Ask, folder: Path, wanted: Wanted, first: audit.ExportedEntries, heard: Heard
) -> tuple[list[int], int]:
    """Write the entries; return the positions of those that get a proof, and how many there are."""
    whole = not wanted.question.filters()
    written = pack.EntryFiles(folder, bundles=whole)
    indexes: list[int] = []
    last = -1
    try:
        async with aclosing(_pages(ask, wanted.question, first)) as pages:
            async for page in pages:
                for each in page.entries:
                    last = _beyond(last, each.index, first.size)
                    written.add(each.index, each.entry.encode())
                if not whole and len(indexes) < wanted.proofs:
                    indexes += [each.index for each in page.entries][: wanted.proofs - len(indexes)]
                heard("entries", written.count, first.size if whole else 0)
    finally:
        written.close()
    if whole and written.count != first.size:
        raise ClientError(f"the ledger gave {written.count} entries of a log of {first.size}")
    return indexes, written.count


def _beyond(last: int, this: int, size: int) -> int:
    """Return `this`; raises ClientError unless it leads on: what a ledger gives in circles would fill the disk."""
    if not last < this < size:
        raise ClientError(f"the ledger gave part {this} after {last} of a log of {size}: its answers do not lead on")
    return this


async def _pages(
    ask: Ask, question: audit.ExportEntriesAsked, page: audit.ExportedEntries
) -> AsyncGenerator[audit.ExportedEntries, None]:
    """Yield the pages; while one is written, the next one is on its way."""
    onward = {"as_of": None, "export": page.export, "size": page.size}
    while page.more:
        if not page.entries:
            raise ClientError("the ledger gave a page without entries, and said that more follow")
        asked = question.model_copy(update=onward | {"after": page.entries[-1].index})
        coming = asyncio.ensure_future(ask(asked, audit.ExportedEntries))
        try:
            await asyncio.sleep(0)  # lets the question go out
            yield page
            page = await coming
        finally:
            coming.cancel()
    yield page


async def _tiles(ask: Ask, folder: Path, first: audit.ExportedEntries, heard: Heard) -> pack.TileFiles:
    tiles = pack.TileFiles(folder=folder, size=first.size)
    places, every = tiles.places(), tiles.count()
    place, written = next(places, None), 0
    while place is not None:
        question = audit.ExportTilesAsked(export=first.export, size=first.size, level=place[0], n=place[1])
        page = await ask(question, audit.ExportedTiles)
        if not page.tiles:
            raise ClientError(f"the ledger gave no tile {place[1]} of level {place[0]}")
        for tile in page.tiles:
            if (tile.level, tile.n) != place or tile.width != tiles.width(*place):
                raise ClientError(f"the ledger gave tile {tile.n} of level {tile.level}, {place} was expected")
            tiles.add(tile.level, tile.n, base64.b64decode(tile.hashes))
            place, written = next(places, None), written + 1
        heard("tiles", written, every)
    return tiles


def _prove(folder: Path, indexes: list[int], tiles: pack.TileFiles, note: str, heard: Heard) -> None:
    remembered = lru_cache(maxsize=TILES_IN_MEMORY)(tiles.read)
    for number, _ in enumerate(pack.proof_files(folder, indexes, tiles.size, note, remembered), 1):
        heard("proofs", number, len(indexes))


async def _signatures(ask: Ask, folder: Path, first: audit.ExportedEntries, heard: Heard) -> None:
    """Write every published checkpoint, and the time stamps."""
    after, more = 0, True
    with _opened(folder / "checkpoints.jsonl") as lines:
        while more:
            question = audit.ExportCheckpointsAsked(export=first.export, size=first.size, after=after)
            page = await ask(question, audit.ExportedCheckpoints)
            lines.writelines(
                json.dumps({"size": each.size, "note": each.note}, ensure_ascii=False).encode() + b"\n"
                for each in page.checkpoints
            )
            for each in page.checkpoints:
                after = _beyond(after, each.size, first.size + 1)
            more = page.more and bool(page.checkpoints)
            heard("checkpoints", after, first.size)
    after, more = 0, True
    while more:
        stamped = await ask(
            audit.ExportStampsAsked(export=first.export, size=first.size, after=after), audit.ExportedStamps
        )
        for stamp in stamped.stamps:
            after = _beyond(after, stamp.size, first.size + 1)
            pack.write(folder / "timestamps" / f"{stamp.size}.tsr", base64.b64decode(stamp.reply))
        more = stamped.more and bool(stamped.stamps)


def _opened(path: Path) -> Any:  # noqa: ANN401 - a binary file
    return path.open("wb")


def _beside(folder: Path, wanted: Wanted, checkpoint: Checkpoint, note: str, count: int) -> None:
    """Write what stands beside the entries."""
    trust = wanted.trust
    policy = policy_of([each.key for each in trust.log_keys], trust.witnesses, trust.quorum)
    facts = {
        "log": checkpoint.origin,
        "size": checkpoint.size,
        "made_at": wanted.made_at,
        "made_by": wanted.made_by,
        "what": f"{count} selected entries" if wanted.question.filters() else "All entries",
    }
    for name, content in {
        "checkpoint": note.encode(),
        "keys.json": trust.to_json().encode(),
        "policy": str(policy).encode(),
        "tierproof_verify.py": wanted.verifier,
        "README.md": pack.readme(**facts),
    }.items():
        pack.write(folder / name, content)


def _put(partial: Path, target: Path) -> None:
    """Move the whole pack to its place."""
    if target.suffix == ZIP:
        packed = partial.with_name(f"{partial.name}{ZIP}")
        try:
            zipped(partial, packed)
            os.link(packed, target)  # fails where something has come to stand meanwhile
        finally:
            packed.unlink(missing_ok=True)
    else:
        partial.chmod(0o755)
        partial.rename(target)


def zipped(folder: Path, target: Path) -> None:
    """Write a folder's files into a ZIP archive, 64-bit where it needs to be; the same files give the same bytes."""
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            member = zipfile.ZipInfo(name, ZIP_TIME)
            hashes = name.startswith("tile/") and not name.startswith("tile/entries/")
            member.compress_type = zipfile.ZIP_STORED if hashes else zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            with path.open("rb") as content, archive.open(member, "w", force_zip64=True) as packed:
                shutil.copyfileobj(content, packed, 1 << 20)
