"""The publisher: has the newest checkpoint cosigned by witnesses, and puts it into the outbox with all signatures."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.merkle import EMPTY_ROOT, consistency_proof
from tierproof_proofs.note import parse_note, sign_note

from tierproof_evidence_ledger import metrics, opening
from tierproof_evidence_ledger.appender import Appender, Rows
from tierproof_evidence_ledger.proof import Tree
from tierproof_evidence_ledger.readers import Readers
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.tree import node_reader
from tierproof_evidence_ledger.witnessing import Outgrown, Unwitnessed, Witnesses, patience_of, witnesses_at

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Publisher:
    """Publishes at most one checkpoint `every` so many seconds, none of entries that have no second copy yet."""

    store: Store
    appender: Appender
    witnesses: Witnesses | None
    put: Callable[[Rows], None]
    every: float
    published: int = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def at(
        cls, settings: LedgerSettings, store: Store, appender: Appender, put: Callable[[Rows], None]
    ) -> AsyncIterator["Publisher"]:
        """Connect with the witnesses of the settings until the block ends."""
        every, last = settings.announce_ms / 1000, await opening.last_published(store)
        published = last[0] if last else 0
        if settings.witness_policy is None:
            _log.warning("witnesses.none", consequence="a ledger that was rolled back whole is not noticed")
            yield cls(store=store, appender=appender, witnesses=None, put=put, every=every, published=published)
            return
        readers, tree = Readers(settings.auditor_dsn), Tree()

        def proof(old: int, new: int) -> list[bytes]:
            with readers.reading() as rows:
                return consistency_proof(old, new, node_reader(tree.reader(rows, new).hashes_at))

        async with witnesses_at(settings.witness_policy, proof, patience_of(settings)) as witnesses:
            yield cls(store=store, appender=appender, witnesses=witnesses, put=put, every=every, published=published)
        readers.close()

    async def agree(self) -> None:
        """Ask the witnesses, before anything is appended, whether they know a larger ledger; raises Outgrown."""
        if self.witnesses is not None:
            recorder = self.appender.recorder
            here = recorder.checkpoint or Checkpoint(origin=recorder.pens.origin, size=0, root=EMPTY_ROOT)
            await self.witnesses.agreed(await self._signed(here), here.size)

    async def run(self) -> None:
        """Publish until cancelled; raises Outgrown when a witness knows another history than this one."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            checkpoint = self.appender.recorder.checkpoint
            if checkpoint is not None and self.published < checkpoint.size <= self.appender.secured:
                await self._publish(checkpoint)
            await asyncio.sleep(max(0.0, began + self.every - clock()))

    async def _publish(self, checkpoint: Checkpoint) -> None:
        recorder = self.appender.recorder
        open_from = recorder.open_from
        with metrics.stage_seconds.labels("sign").time():
            note = await self._signed(checkpoint)
        if self.witnesses is not None:
            try:
                with metrics.stage_seconds.labels("witness").time():
                    note = await self.witnesses.cosigned(note, checkpoint.size)
            except Outgrown:
                await self.store.still_in_office(recorder.term)  # it may be another sequencer that has gone on
                raise
            except Unwitnessed as error:
                _log.warning("checkpoint.unwitnessed", size=checkpoint.size, reason=error.diagnosis())
                return
        with metrics.stage_seconds.labels("store").time():
            await self.store.publish(checkpoint.size, note, min(open_from, checkpoint.size), recorder.term)
        self.published = checkpoint.size
        metrics.published(checkpoint.size)
        self.put([("checkpoint", checkpoint.size)])
        await self.appender.show(note, checkpoint.size)

    async def _signed(self, checkpoint: Checkpoint) -> str:
        """Return the checkpoint with the log's signatures, the post-quantum one included."""
        pens = self.appender.recorder.pens
        note = pens.sign(checkpoint)
        if pens.post_quantum is None:
            return note
        line = await asyncio.to_thread(pens.post_quantum.cosign, checkpoint, int(time.time()))
        return sign_note(str(checkpoint), [], existing=(*parse_note(note.encode()).signatures, line))
