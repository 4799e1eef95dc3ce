"""What a sequencer reads when it takes office. Each costs the same however long the ledger has become."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from tierproof_proofs.merkle import leaf_hash

from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.tree import TILE_WIDTH, Tree, rebuilt

Entry = tuple[int, dict[str, Any]]  # seq and what it says
_OPEN = """
    SELECT seq, canonical FROM ledger.entry e
    WHERE seq >= %s AND ((said).event_type = ANY (%s) AND (said).kind = 'event' OR (said).kind = 'rejected' AND (said).task_id IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM ledger.outcome o WHERE o.task_id = (e.said).task_id)
    ORDER BY seq"""
_OF_TYPES = "SELECT seq, canonical FROM ledger.entry WHERE (said).event_type = ANY (%s) AND (said).kind = ANY ('{event,act}') ORDER BY seq"
_POSITIONS = """
    SELECT s.name, s.created, s.stream_id, (SELECT max(stream_seq) FROM ledger.ingest_key k WHERE k.stream_id = s.stream_id)
    FROM ledger.stream s"""


async def size(store: Store) -> int:
    """Return the number of entries, from the last one; holes are for `verify` to find."""
    return int((await store.one("SELECT coalesce(max(seq) + 1, 0) FROM ledger.entry"))[0])


async def last_checkpoint(store: Store) -> str | None:
    """Return the newest checkpoint's note."""
    rows = await store.all("SELECT note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")
    return rows[0][0] if rows else None


async def last_published(store: Store) -> tuple[int, str, int] | None:
    """Return size, note and open_from of the newest checkpoint that witnesses have seen."""
    rows = await store.all("SELECT size, note, open_from FROM ledger.published_checkpoint ORDER BY size DESC LIMIT 1")
    return (int(rows[0][0]), str(rows[0][1]), int(rows[0][2])) if rows else None


async def tree_of(store: Store, entries: int) -> Tree:
    """Rebuild the tree from its tiles and newest entries; raises Corrupted."""
    rows = await store.all(
        "SELECT level, n, hashes FROM ledger.tile WHERE n >= %s::bigint >> (8 * (level + 2)) << 8", [entries]
    )
    tiles = {(level, n): bytes(hashes) for level, n, hashes in rows}
    first = entries - entries % TILE_WIDTH
    edge = await store.all("SELECT canonical FROM ledger.entry WHERE seq >= %s ORDER BY seq", [first])
    return rebuilt(entries, _reader(tiles), [leaf_hash(row[0]) for row in edge])


def _reader(tiles: dict[tuple[int, int], bytes]) -> Callable[[int, int], bytes]:
    def tile(level: int, n: int) -> bytes:
        if (level, n) not in tiles:
            raise Corrupted(f"tile {n} of level {level} is missing: run `verify`")
        return tiles[level, n]

    return tile


async def entries_of(store: Store, event_types: Sequence[str]) -> list[Entry]:
    """Return all events and acts of the given types, in order."""
    return _entries(await store.all(_OF_TYPES, [list(event_types)]))


async def open_tasks(store: Store, event_types: Sequence[str], open_from: int) -> list[Entry]:
    """Return entries of the given types, and unreadable submissions, from `open_from` on, whose tasks have no outcome."""
    return _entries(await store.all(_OPEN, [open_from, list(event_types)]))


async def positions(store: Store) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """Return the id of each known stream, and the highest recorded position in it; streams are (name, creation time)."""
    rows = await store.all(_POSITIONS)
    known = {(name, created): int(stream_id) for name, created, stream_id, _ in rows}
    return known, {(name, created): int(last or 0) for name, created, _, last in rows}


def loaded(content: bytes) -> dict[str, Any]:
    """Return what an entry says."""
    entry: dict[str, Any] = orjson.loads(content)
    return entry


def _entries(rows: Sequence[tuple[Any, ...]]) -> list[Entry]:
    return [(int(seq), loaded(content)) for seq, content in rows]
