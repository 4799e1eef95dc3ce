"""The ledger's tables, as ledger_writer: what a batch looks up, and the one transaction of a batch."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Self

import orjson
import psycopg
from psycopg import AsyncConnection
from tierproof_contracts.ids import written

from tierproof_evidence_ledger.acts import ALTERED, DEEDS, Act
from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.canonical import digest_of_said
from tierproof_evidence_ledger.copying import entry_rows, key_rows
from tierproof_evidence_ledger.decide import Recorded
from tierproof_evidence_ledger.errors import Corrupted, Deposed
from tierproof_evidence_ledger.sealed import SealedText, WrappedKey

OFFICE_LOCK = 0x7469_6572_0001  # held for as long as a sequencer is in office
TERM_LOCK = 0x7469_6572_0002  # held alone while a term is taken, shared by all that commits in one
_TEXTS = """
    SELECT t.commitment, t.tenant, t.task_id, t.key_id, t.nonce, t.ciphertext, k.wrapped
    FROM ledger.sealed_text t LEFT JOIN ledger.text_key k USING (key_id) WHERE t.commitment = ANY (%s)"""
_RECORDED = """
    SELECT s.name, s.created, k.stream_seq FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS asked (name, created, stream_seq)
    JOIN ledger.stream s USING (name, created) JOIN ledger.ingest_key k USING (stream_id, stream_seq)"""


class Store:
    """One connection of ledger_writer."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self.stream_ids: dict[tuple[str, str], int] = {}

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Connect; raises psycopg.OperationalError."""
        return cls(await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name="evidence-ledger"))

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def try_office(self) -> bool:
        """Take the one sequencer's lock, which this connection then holds until it closes; False when another has it."""
        row = await self.one("SELECT pg_try_advisory_lock(%s)", [OFFICE_LOCK])
        return bool(row[0])

    async def is_alive(self) -> bool:
        """Ask the database a trivial question; raises psycopg.OperationalError when the connection is gone."""
        return bool((await self.one("SELECT true"))[0])

    async def take_term(self, holder: str) -> int:
        """Begin a new term; whoever had an older one can commit no more."""
        async with self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock(%s)", [TERM_LOCK])
            row = await self.one("SELECT coalesce(max(term), 0) + 1 FROM ledger.term")
            await self._connection.execute("INSERT INTO ledger.term (term, holder) VALUES (%s, %s)", [row[0], holder])
        return int(row[0])

    async def make_room(self, last: int) -> None:
        """Make the partitions that hold entries up to `last`."""
        await self._connection.execute("SELECT ledger.make_room(%s)", [last])

    async def recorded_positions(
        self, positions: Sequence[tuple[tuple[str, str], int]]
    ) -> set[tuple[tuple[str, str], int]]:
        """Return those of the positions (stream, sequence) that are recorded; a stream is (name, creation time)."""
        if not positions:
            return set()
        columns = [
            [part[0][0] for part in positions],
            [part[0][1] for part in positions],
            [part[1] for part in positions],
        ]
        return {((name, created), int(place)) for name, created, place in await self.all(_RECORDED, columns)}

    async def seqs_of(self, event_ids: Sequence[str]) -> dict[str, int]:
        """Return the entry's seq for each event id that is recorded."""
        query = "SELECT event_id::text, seq FROM ledger.ingest_key WHERE event_id = ANY (%s::uuid[])"
        return {event_id: int(seq) for event_id, seq in await self.all(query, [list(event_ids)])} if event_ids else {}

    async def events(self, event_ids: Iterable[str]) -> dict[str, Recorded]:
        """Return recorded events by id."""
        wanted = list(event_ids)
        if not wanted:
            return {}
        query = """SELECT e.canonical FROM ledger.ingest_key k JOIN ledger.entry e USING (seq)
                   WHERE k.event_id = ANY (%s::uuid[])"""
        found = [recorded_in(orjson.loads(row[0])) for row in await self.all(query, [wanted])]
        return {event.event_id: event for event in found}

    async def outcomes_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of the tasks that have their outcome."""
        query = "SELECT task_id FROM ledger.outcome WHERE task_id = ANY (%s)"
        return {row[0] for row in await self.all(query, [list(task_ids)])} if task_ids else set()

    async def acts(self) -> list[Act]:
        """Return what was done in the database and is not in the log yet, oldest first.

        What only the ledger itself can do (rotate its key, restore itself) and is said to be done there, is an alteration.
        """
        query = """SELECT act_id, type, said, done_at FROM ledger.act a
                   WHERE NOT EXISTS (SELECT 1 FROM ledger.act_recorded r WHERE r.act_id = a.act_id) ORDER BY done_at, act_id"""
        return [_done(act_id, kind, said, done_at) for act_id, kind, said, done_at in await self.all(query)]

    async def text_keys(self, tenants: Sequence[str]) -> dict[str, WrappedKey]:
        """Return the newest key of each tenant that has one."""
        query = """SELECT DISTINCT ON (tenant) key_id, tenant, wrapped FROM ledger.text_key
                   WHERE tenant = ANY (%s) ORDER BY tenant, made_at DESC"""
        rows = await self.all(query, [list(tenants)]) if tenants else []
        return {row[1]: WrappedKey(key_id=row[0], tenant=row[1], wrapped=bytes(row[2])) for row in rows}

    async def text(self, commitment: str) -> tuple[SealedText, WrappedKey | None] | None:
        """Return a sealed text and its key, None in place of an erased one."""
        return (await self.texts([commitment])).get(commitment)

    async def texts(self, commitments: Sequence[str]) -> dict[str, tuple[SealedText, WrappedKey | None]]:
        """Return sealed texts by commitment, each with its key, None in place of an erased one."""
        # Planned each time: a plan that was kept from when the table was small reads all of it, until statistics are gathered.
        rows = await self.all(_TEXTS, [list(commitments)], prepare=False) if commitments else []
        return {row[0]: _text_in(row) for row in rows}

    async def unpublished(self) -> list[tuple[str, int]]:
        """Return outbox rows that are not published yet, oldest first."""
        query = """SELECT o.kind, o.ref FROM ledger.outbox o
                   WHERE NOT EXISTS (SELECT 1 FROM ledger.outbox_published p WHERE (p.kind, p.ref) = (o.kind, o.ref))
                   ORDER BY o.ref"""
        return [(kind, int(ref)) for kind, ref in await self.all(query)]

    async def published(self, rows: Sequence[tuple[str, int, int]]) -> None:
        """Note that outbox rows (kind, ref, sequence in the stream) are published, each once."""
        await self._connection.execute(
            """INSERT INTO ledger.outbox_published (kind, ref, stream_seq)
               SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING""",
            [[kind for kind, _, _ in rows], [ref for _, ref, _ in rows], [place for _, _, place in rows]],
        )

    async def entries_at(self, seqs: Sequence[int]) -> dict[int, bytes]:
        """Return the canonical bytes of entries by their seq."""
        rows = await self.all("SELECT seq, canonical FROM ledger.entry WHERE seq = ANY (%s)", [list(seqs)])
        return {int(seq): bytes(content) for seq, content in rows}

    async def entries(self, first: int, count: int) -> list[bytes]:
        """Return the canonical bytes of up to `count` entries from `first` on."""
        query = "SELECT canonical FROM ledger.entry WHERE seq >= %s AND seq < %s ORDER BY seq"
        return [bytes(row[0]) for row in await self.all(query, [first, first + count])]

    async def published_checkpoint(self, size: int) -> str:
        """Return the note of a published checkpoint; raises Corrupted when there is none."""
        rows = await self.all("SELECT note FROM ledger.published_checkpoint WHERE size = %s", [size])
        if not rows:
            raise Corrupted(f"the checkpoint of size {size} is missing: run `verify`")
        return str(rows[0][0])

    async def commit(self, batch: Batch, term: int) -> None:
        """Append a batch, whole or not at all; raises Deposed when a newer term has begun."""
        async with self._connection.transaction():
            await self._in_office(term)
            if batch.entries:
                await self._copy_bytes("entry (seq, canonical)", entry_rows(batch.first_seq, batch.entries))
            await self._append_rest(batch)

    async def publish(self, size: int, note: str, open_from: int, term: int) -> None:
        """Append a published checkpoint with its outbox row; raises Deposed when a newer term has begun."""
        async with self._connection.transaction():
            await self._in_office(term)
            await self._connection.execute(
                "INSERT INTO ledger.published_checkpoint (size, note, open_from) VALUES (%s, %s, %s)",
                [size, note, open_from],
            )
            await self._connection.execute("INSERT INTO ledger.outbox (kind, ref) VALUES ('checkpoint', %s)", [size])

    async def still_in_office(self, term: int) -> None:
        """Raise Deposed when a newer term has begun."""
        async with self._connection.transaction():
            await self._in_office(term)

    async def stamp(self, size: int, reply: bytes) -> None:
        """Append the time stamp of a checkpoint."""
        query = "INSERT INTO ledger.time_stamp (size, reply) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        await self._connection.execute(query, [size, reply])

    async def _in_office(self, term: int) -> None:
        """Keep the next term from beginning before this transaction ends. A batch and a publication may commit at the same time."""
        await self._connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [TERM_LOCK])
        newest = (await self.one("SELECT max(term) FROM ledger.term"))[0]
        if newest != term:
            raise Deposed(f"term {newest} has begun; this sequencer was in term {term}")

    async def _append_rest(self, batch: Batch) -> None:
        if batch.keys:
            await self._name_streams({key.stream for key in batch.keys})
            ids = self.stream_ids
            keys = ((ids[k.stream], k.stream_seq, k.seq, k.disposition, k.event_id) for k in batch.keys)
            await self._copy_bytes("ingest_key (stream_id, stream_seq, seq, disposition, event_id)", key_rows(keys))
        tiles = [(tile.level, tile.n, tile.hashes) for tile in batch.tiles]
        await self._copy("tile (level, n, hashes)", ["int2", "int8", "bytea"], tiles)
        text_keys = [(key.key_id, key.tenant, key.wrapped) for key in batch.text_keys]
        await self._copy("text_key (key_id, tenant, wrapped)", ["uuid", "text", "bytea"], text_keys)
        await self._seal(batch.texts)
        outcomes = [(outcome.task_id, outcome.seq, outcome.status, outcome.decision) for outcome in batch.outcomes]
        await self._copy("outcome (task_id, seq, status, decision)", ["text", "int8", "text", "text"], outcomes)
        await self._copy("outbox (kind, ref)", ["text", "int8"], batch.outbox)
        await self._copy("act_recorded (act_id, seq)", ["uuid", "int8"], batch.database_acts)
        if batch.checkpoint:
            await self._copy("checkpoint (size, note, leaves)", ["int8", "text", "bytea"], [batch.checkpoint])

    async def _name_streams(self, streams: set[tuple[str, str]]) -> None:
        """Give numbers to streams that are met for the first time. Should the transaction fail, this connection ends with its term."""
        for stream in sorted(streams - self.stream_ids.keys()):
            row = await self.one("SELECT coalesce(max(stream_id), 0) + 1 FROM ledger.stream")
            self.stream_ids[stream] = int(row[0])
            query = "INSERT INTO ledger.stream (stream_id, name, created) VALUES (%s, %s, %s)"
            await self._connection.execute(query, [row[0], *stream])

    async def _seal(self, texts: Sequence[SealedText]) -> None:
        if not texts:
            return
        query = """INSERT INTO ledger.sealed_text (commitment, tenant, task_id, key_id, nonce, ciphertext)
                   SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::uuid[], %b::bytea[], %b::bytea[])
                   ON CONFLICT DO NOTHING"""
        columns: list[list[str] | list[uuid.UUID] | list[bytes]] = [
            [text.commitment for text in texts],
            [text.tenant for text in texts],
            [text.task_id for text in texts],
            [text.key_id for text in texts],
            [text.nonce for text in texts],
            [text.ciphertext for text in texts],
        ]
        await self._connection.execute(query, columns)

    async def _copy_bytes(self, into: str, rows: bytes) -> None:
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY ledger.{into} FROM STDIN (FORMAT BINARY)".encode()) as copy,
        ):
            await copy.write(rows)

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

    async def all(
        self, query: str, values: Sequence[Any] = (), *, prepare: bool | None = None
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query; psycopg says what `prepare` means."""
        cursor = await self._connection.execute(query.encode(), values, binary=True, prepare=prepare)
        return await cursor.fetchall()

    async def one(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Return the first row of a query."""
        return (await self.all(query, values))[0]


def _done(act_id: uuid.UUID, kind: str, said: Any, done_at: Any) -> Act:  # noqa: ANN401 - any JSON value; a datetime
    if kind not in DEEDS or not isinstance(said, dict):
        kind, said = ALTERED, {"command": "INSERT", "objects": ["ledger.act"], "claimed": kind, "said": said}
    return Act(type=kind, data=said, act_id=act_id, done_at=written(done_at), in_database=True)


def _text_in(row: tuple[Any, ...]) -> tuple[SealedText, WrappedKey | None]:
    commitment, tenant, task_id, key_id, nonce, ciphertext, wrapped = row
    text = SealedText(
        commitment=commitment,
        tenant=tenant,
        task_id=task_id,
        key_id=key_id,
        nonce=bytes(nonce),
        ciphertext=bytes(ciphertext),
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
