"""Transactional outbox: an event is written in the transaction that makes it true, and published afterwards.

A crash between both leaves the row; it is published again under the same id, which the bus finds there. Rows stay, marked, until
their owner deletes them: a PubAck is no proof that the ledger has the event.

Needs the extra `outbox` (psycopg); this module imports it nowhere, it works on the connection that it is given.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.envelope import Envelope

from tierproof_bus.bus import Bus
from tierproof_bus.errors import Transient
from tierproof_bus.messages import Published

_log = structlog.get_logger()

CREATE_TABLE = """
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    envelope bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    stored_sequence bigint
);
CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL;
"""
INSERT = "INSERT INTO outbox (event_id, envelope) VALUES (%s, %s) ON CONFLICT (event_id) DO NOTHING"
CLAIM = """
SELECT position, envelope FROM outbox WHERE published_at IS NULL
ORDER BY position LIMIT %s FOR UPDATE SKIP LOCKED
"""
MARK = "UPDATE outbox SET published_at = now(), stored_sequence = %s WHERE position = %s"

Connect = Callable[[], Awaitable[AbstractAsyncContextManager[Any]]]
Opening = Callable[[bytes], Awaitable[Envelope[Any]]]


async def as_written(content: bytes) -> Envelope[Any]:
    """Open a row that holds the envelope's own bytes."""
    return read_event(content)


async def write(cursor: Any, envelope: Envelope[Any]) -> None:  # noqa: ANN401 - psycopg is an extra
    """Write an event in the caller's transaction."""
    await cursor.execute(INSERT, (envelope.id, envelope.to_bytes()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Publishes what the outbox holds, oldest first; several relays share the work by row locks.

    `connect` awaits a psycopg AsyncConnection; `batch` rows per transaction; `pause` seconds between looks at an empty table;
    `opening` turns a row into an envelope, for owners that keep texts elsewhere. `away` are the errors that say the database
    cannot be reached: `psycopg.OperationalError`.
    """

    connect: Connect
    bus: Bus
    batch: int
    pause: float
    away: type[Exception]
    opening: Opening = as_written

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until told to stop; a broker or database that is away is tried again."""
        while not stop.is_set():
            try:
                moved = await self.relay()
            except (Transient, self.away) as error:
                _log.warning("outbox.waits", reason=type(error).__name__)
                moved = 0
            if not moved:
                await _pause(stop, self.pause)

    async def relay(self) -> int:
        """Publish one batch in one transaction and return its size; raises Transient when the broker is away.

        Events before the first that failed are marked.
        """
        async with await self.connect() as connection:
            rows = await (await connection.execute(CLAIM, (self.batch,))).fetchall()
            for position, content in rows:
                try:
                    published = await self.bus.publish_envelope(await self.opening(bytes(content)))
                except Transient:
                    await connection.commit()
                    raise
                _note(published)
                await connection.execute(MARK, (published.sequence, position))
        return len(rows)


def _note(published: Published[Any]) -> None:
    if published.stored == "conflict":
        _log.error("outbox.conflict", event_type=published.envelope.type, kept=published.envelope.id)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
