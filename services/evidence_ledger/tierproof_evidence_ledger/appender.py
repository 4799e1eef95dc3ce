"""The appender: a batch is committed, then gets its second copy, and only then are releases sent and messages acknowledged.

While one batch gets its copy, the next is already recorded; nobody outside learns of a batch that a restore could not bring back.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime

import structlog

from tierproof_evidence_ledger import metrics
from tierproof_evidence_ledger.acts import Act
from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.mirror import Mirror
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.settings import LedgerSettings

_log = structlog.get_logger()
CHUNK = 1000  # entries that are copied at once when the mirror has fallen behind
Rows = list[tuple[str, int]]


class Appender:
    """Appends during one term. `secured` is the number of entries that have their second copy, or need none."""

    def __init__(self, recorder: Recorder, mirror: Mirror | None, put: Callable[[Rows], None]) -> None:
        self.recorder = recorder
        self.mirror = mirror
        self.secured = recorder.size
        self._put = put
        self._finishing: asyncio.Task[None] | None = None
        self._showing: asyncio.Task[None] | None = None
        self._shown: tuple[str, int] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def at(
        cls, settings: LedgerSettings, recorder: Recorder, put: Callable[[Rows], None]
    ) -> AsyncIterator["Appender"]:
        """Open the mirror, bring it up to the ledger, and append until the block ends; raises Corrupted."""
        if settings.mirror is None:
            _log.warning("mirror.none", consequence="a restore can lose results that consumers already have")
            yield cls(recorder, None, put)
            return
        mirror = await asyncio.to_thread(Mirror.open, settings.mirror, settings.log_name)
        try:
            await brought_up(mirror, recorder)
            appender = cls(recorder, mirror, put)
            try:
                yield appender
            finally:
                await appender.stopped()
        finally:
            mirror.close()

    async def append(
        self,
        messages: Sequence[Delivered],
        now: datetime,
        acts: Sequence[Act] = (),
        then: Callable[[Batch], Awaitable[None]] | None = None,
    ) -> Batch:
        """Commit a batch and return it; its second copy, the sending of its outbox, and `then` follow."""
        with metrics.stage_seconds.labels("record").time():
            batch = await self.recorder.record(messages, now, acts)
        metrics.appended(batch)
        metrics.unmirrored.set(self.recorder.size - self.secured)
        await self.settled()
        self._finishing = asyncio.create_task(self._finish(batch, then))
        return batch

    async def show(self, note: str, size: int) -> None:
        """Have a published checkpoint written to the mirror: of those that come while one is written, the newest is next.

        Raises what kept an earlier one from being written.
        """
        if self.mirror is None:
            return
        if self._showing is not None and self._showing.done():
            await self._showing
        self._shown = (note, size)
        if self._showing is None or self._showing.done():
            self._showing = asyncio.create_task(self._show(self.mirror))

    async def _show(self, mirror: Mirror) -> None:
        while self._shown is not None:
            (note, size), self._shown = self._shown, None
            with metrics.stage_seconds.labels("tiles").time():
                await asyncio.to_thread(mirror.publish, note, size)

    async def settled(self) -> None:
        """Wait until what was committed has its second copy and went out; raises what kept it from that."""
        if self._finishing is not None:
            with metrics.stage_seconds.labels("follow").time():
                await self._finishing

    async def stopped(self) -> None:
        """Wait until nothing writes to the mirror any more, even while being cancelled."""
        for writing in (self._finishing, self._showing):
            while writing is not None and not writing.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({writing})

    async def _finish(self, batch: Batch, then: Callable[[Batch], Awaitable[None]] | None) -> None:
        if self.mirror is not None and batch.entries:
            with metrics.stage_seconds.labels("mirror").time():
                await asyncio.to_thread(self.mirror.append, batch.first_seq, batch.entries)
        self.secured = max(self.secured, batch.next_seq)
        metrics.unmirrored.set(self.recorder.size - self.secured)
        self._put(batch.outbox)
        if then is not None:
            await then(batch)


async def brought_up(mirror: Mirror, recorder: Recorder) -> None:
    """Give the mirror the entries that a crash kept from it; raises Corrupted when it holds more than the ledger, or others."""
    if mirror.size > recorder.size:
        raise Corrupted(f"the mirror holds {mirror.size} entries, the database {recorder.size}: run `restore`")
    while mirror.size < recorder.size:
        entries = await recorder.store.entries(mirror.size, CHUNK)
        await asyncio.to_thread(mirror.append, mirror.size, entries)
    if mirror.root(mirror.size) != recorder.tree.frontier.root():
        raise Corrupted(f"the mirror's {mirror.size} entries are not those of the database: run `verify`")
