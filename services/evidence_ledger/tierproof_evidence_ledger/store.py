"""The ledger's tables, as ledger_writer: what is read at start, and the one transaction of a batch."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Self

import orjson
import psycopg
from psycopg import AsyncConnection
from tierproof_proofs.merkle import leaf_hash

from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.canonical import digest_of_said
from tierproof_evidence_ledger.decide import Recorded
from tierproof_evidence_ledger.errors import Corrupted, Deposed
from tierproof_evidence_ledger.sealed import SealedText, WrappedKey
from tierproof_evidence_ledger.tree import TILE_WIDTH, Tree, rebuilt

OFFICE_LOCK = 0x7469_6572_0001  # held for as long as a sequencer is in office
TERM_LOCK = 0x7469_6572_0002  # held while a term is taken or a batch commits
_OPEN = """
    SELECT canonical FROM ledger.entry e
    WHERE (event_type = ANY (%s) AND kind = 'event' OR kind = 'rejected' AND task_id IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM ledger.outcome o WHERE o.task_id = e.task_id)
    ORDER BY seq"""
_TEXT = """
    SELECT t.tenant, t.key_id, t.nonce, t.ciphertext, k.wrapped
    FROM ledger.sealed_text t LEFT JOIN ledger.text_key k USING (key_id) WHERE t.commitment = %s"""
_STEERING = "SELECT canonical FROM ledger.entry WHERE event_type = ANY (%s) AND kind = 'event' ORDER BY seq"


class Store:
    """One connection of ledger_writer."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Connect; raises psycopg.OperationalError."""
        return cls(await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name="evidence-ledger"))

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def try_office(self) -> bool:
        """Take the one sequencer's lock, which this connection then holds until it closes; False when another has it."""
        row = await self._one("SELECT pg_try_advisory_lock(%s)", [OFFICE_LOCK])
        return bool(row[0])

    async def is_alive(self) -> bool:
        """Ask the database a trivial question; raises psycopg.OperationalError when the connection is gone."""
        return bool((await self._one("SELECT true", []))[0])

    async def take_term(self, holder: str) -> int:
        """Begin a new term; whoever had an older one can commit no more."""
        async with self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock(%s)", [TERM_LOCK])
            row = await self._one("SELECT coalesce(max(term), 0) + 1 FROM ledger.term", [])
            await self._connection.execute("INSERT INTO ledger.term (term, holder) VALUES (%s, %s)", [row[0], holder])
        return int(row[0])

    async def size(self) -> int:
        """Return the number of entries; raises Corrupted when seq has holes."""
        count, last = await self._one("SELECT count(*), max(seq) FROM ledger.entry", [])
        if count != (0 if last is None else last + 1):
            raise Corrupted(f"{count} entries, but the last one has seq {last}: run `verify`")
        return int(count)

    async def last_checkpoint(self) -> str | None:
        """Return the newest checkpoint's note."""
        rows = await self._all("SELECT note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1", [])
        return rows[0][0] if rows else None

    async def tree(self, size: int) -> Tree:
        """Rebuild the tree from its tiles and newest entries; raises Corrupted."""
        rows = await self._all(
            "SELECT level, n, hashes FROM ledger.tile WHERE n >= %s::bigint >> (8 * (level + 2)) << 8", [size]
        )
        tiles = {(level, n): bytes(hashes) for level, n, hashes in rows}

        def tile(level: int, n: int) -> bytes:
            if (level, n) not in tiles:
                raise Corrupted(f"tile {n} of level {level} is missing: run `verify`")
            return tiles[level, n]

        first = size - size % TILE_WIDTH
        edge = await self._all("SELECT canonical FROM ledger.entry WHERE seq >= %s ORDER BY seq", [first])
        return rebuilt(size, tile, [leaf_hash(row[0]) for row in edge])

    async def steering(self, event_types: Sequence[str]) -> list[dict[str, Any]]:
        """Return all entries of the given event types, in order."""
        return [orjson.loads(row[0]) for row in await self._all(_STEERING, [list(event_types)])]

    async def open_tasks(self, event_types: Sequence[str]) -> list[dict[str, Any]]:
        """Return the entries of the given types, and unreadable submissions, whose tasks have no outcome."""
        return [orjson.loads(row[0]) for row in await self._all(_OPEN, [list(event_types)])]

    async def highest_positions(self) -> dict[str, int]:
        """Return the highest recorded position per stream identity."""
        rows = await self._all("SELECT stream, max(stream_seq) FROM ledger.ingest_key GROUP BY stream", [])
        return {stream: int(last) for stream, last in rows}

    async def recorded_positions(self, positions: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return those of the positions (stream identity, sequence) that are recorded."""
        if not positions:
            return set()
        query = """SELECT k.stream, k.stream_seq FROM ledger.ingest_key k
                   JOIN unnest(%s::text[], %s::bigint[]) AS asked (stream, stream_seq) USING (stream, stream_seq)"""
        rows = await self._all(query, [[name for name, _ in positions], [place for _, place in positions]])
        return {(stream, int(place)) for stream, place in rows}

    async def seqs_of(self, event_ids: Sequence[str]) -> dict[str, int]:
        """Return the entry's seq for each event id that is recorded."""
        query = "SELECT event_id, seq FROM ledger.ingest_key WHERE event_id = ANY (%s)"
        return {event_id: int(seq) for event_id, seq in await self._all(query, [list(event_ids)])} if event_ids else {}

    async def events(self, event_ids: Iterable[str]) -> dict[str, Recorded]:
        """Return recorded events by id."""
        wanted = list(event_ids)
        if not wanted:
            return {}
        query = """SELECT e.canonical FROM ledger.ingest_key k JOIN ledger.entry e USING (seq)
                   WHERE k.event_id = ANY (%s)"""
        found = [recorded_in(orjson.loads(row[0])) for row in await self._all(query, [wanted])]
        return {event.event_id: event for event in found}

    async def outcomes_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of the tasks that have their outcome."""
        query = "SELECT task_id FROM ledger.outcome WHERE task_id = ANY (%s)"
        return {row[0] for row in await self._all(query, [list(task_ids)])} if task_ids else set()

    async def text_keys(self, tenants: Sequence[str]) -> dict[str, WrappedKey]:
        """Return the newest key of each tenant that has one."""
        query = """SELECT DISTINCT ON (tenant) key_id, tenant, wrapped FROM ledger.text_key
                   WHERE tenant = ANY (%s) ORDER BY tenant, made_at DESC"""
        rows = await self._all(query, [list(tenants)]) if tenants else []
        return {row[1]: WrappedKey(key_id=row[0], tenant=row[1], wrapped=bytes(row[2])) for row in rows}

    async def text(self, commitment: str) -> tuple[SealedText, WrappedKey | None] | None:
        """Return a sealed text and its key, None in place of an erased one."""
        rows = await self._all(_TEXT, [commitment])
        return _text_in(commitment, rows[0]) if rows else None

    async def unpublished(self) -> list[tuple[str, int]]:
        """Return outbox rows that are not published yet, oldest first."""
        query = """SELECT o.kind, o.ref FROM ledger.outbox o
                   WHERE NOT EXISTS (SELECT 1 FROM ledger.outbox_published p WHERE (p.kind, p.ref) = (o.kind, o.ref))
                   ORDER BY o.ref"""
        return [(kind, int(ref)) for kind, ref in await self._all(query, [])]

    async def announced_size(self) -> int:
        """Return the size of the newest checkpoint in the outbox, 0 for none."""
        row = await self._one("SELECT coalesce(max(ref), 0) FROM ledger.outbox WHERE kind = 'checkpoint'", [])
        return int(row[0])

    async def published(self, rows: Sequence[tuple[str, int, int]]) -> None:
        """Note that outbox rows (kind, ref, sequence in the stream) are published, each once."""
        await self._connection.execute(
            """INSERT INTO ledger.outbox_published (kind, ref, stream_seq)
               SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING""",
            [[kind for kind, _, _ in rows], [ref for _, ref, _ in rows], [place for _, _, place in rows]],
        )

    async def entry(self, seq: int) -> bytes:
        """Return an entry's canonical bytes; raises Corrupted when there is none."""
        rows = await self._all("SELECT canonical FROM ledger.entry WHERE seq = %s", [seq])
        if not rows:
            raise Corrupted(f"entry {seq} is missing: run `verify`")
        return bytes(rows[0][0])

    async def checkpoint(self, size: int) -> str:
        """Return the checkpoint's note of a size; raises Corrupted when there is none."""
        rows = await self._all("SELECT note FROM ledger.checkpoint WHERE size = %s", [size])
        if not rows:
            raise Corrupted(f"the checkpoint of size {size} is missing: run `verify`")
        return str(rows[0][0])

    async def commit(self, batch: Batch, term: int) -> None:
        """Append a batch, whole or not at all; raises Deposed when a newer term has begun."""
        async with self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock(%s)", [TERM_LOCK])
            newest = (await self._one("SELECT max(term) FROM ledger.term", []))[0]
            if newest != term:
                raise Deposed(f"term {newest} has begun; this sequencer was in term {term}")
            await self._copy("entry (seq, canonical)", ["int8", "bytea"], batch.entries)
            await self._append_rest(batch)

    async def _append_rest(self, batch: Batch) -> None:
        keys = [(key.stream, key.stream_seq, key.seq, key.disposition, key.event_id) for key in batch.keys]
        await self._copy(
            "ingest_key (stream, stream_seq, seq, disposition, event_id)",
            ["text", "int8", "int8", "text", "text"],
            keys,
        )
        tiles = [(tile.level, tile.n, tile.hashes) for tile in batch.tiles]
        await self._copy("tile (level, n, hashes)", ["int2", "int8", "bytea"], tiles)
        await self._copy(
            "text_key (key_id, tenant, wrapped)",
            ["uuid", "text", "bytea"],
            [(key.key_id, key.tenant, key.wrapped) for key in batch.text_keys],
        )
        await self._seal(batch.texts)
        outcomes = [(outcome.task_id, outcome.seq, outcome.status, outcome.decision) for outcome in batch.outcomes]
        await self._copy("outcome (task_id, seq, status, decision)", ["text", "int8", "text", "text"], outcomes)
        await self._copy("outbox (kind, ref)", ["text", "int8"], batch.outbox)
        if batch.checkpoint:
            await self._copy("checkpoint (size, note, leaves)", ["int8", "text", "bytea"], [batch.checkpoint])

    async def _seal(self, texts: Sequence[SealedText]) -> None:
        if not texts:
            return
        query = """INSERT INTO ledger.sealed_text (commitment, tenant, key_id, nonce, ciphertext)
                   SELECT * FROM unnest(%b::text[], %b::text[], %b::uuid[], %b::bytea[], %b::bytea[])
                   ON CONFLICT DO NOTHING"""
        columns: list[list[str] | list[uuid.UUID] | list[bytes]] = [
            [text.commitment for text in texts],
            [text.tenant for text in texts],
            [text.key_id for text in texts],
            [text.nonce for text in texts],
            [text.ciphertext for text in texts],
        ]
        await self._connection.execute(query, columns)

    async def _copy(self, into: str, types: list[str], rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY ledger.{into} FROM STDIN (FORMAT BINARY)".encode()) as copy,
        ):
            copy.set_types(types)
            for row in rows:
                await copy.write_row(row)

    async def _all(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        cursor = await self._connection.execute(query.encode(), values, binary=True)
        return await cursor.fetchall()

    async def _one(self, query: str, values: Sequence[Any]) -> tuple[Any, ...]:
        return (await self._all(query, values))[0]


def _text_in(commitment: str, row: tuple[Any, ...]) -> tuple[SealedText, WrappedKey | None]:
    tenant, key_id, nonce, ciphertext, wrapped = row
    text = SealedText(
        commitment=commitment, tenant=tenant, key_id=key_id, nonce=bytes(nonce), ciphertext=bytes(ciphertext)
    )
    key = None if wrapped is None else WrappedKey(key_id=key_id, tenant=tenant, wrapped=bytes(wrapped))
    return text, key


def recorded_in(entry: dict[str, Any]) -> Recorded:
    """Return the event of an entry, as evidence; its digest is computed anew."""
    event = entry["event"]
    return Recorded(
        event_id=event["id"],
        event_type=event["type"],
        digest=digest_of_said(event["type"], event["data"]),
        data=event["data"],
        cause=event.get("causationid"),
    )
