"""The sequencer: one process in office at a time; messages in batches, one commit, a second copy, then one acknowledgement per stream."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import nats.errors
import psycopg
import structlog
from tierproof_bus.bus import Bus, utc_now
from tierproof_bus.documents import signers_in
from tierproof_bus.errors import BusError
from tierproof_bus.link import Link
from tierproof_bus.streams import JetStreams
from tierproof_contracts.topology import Consumer, consumers_of
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.keys import load_or_create_mldsa44_key
from tierproof_proofs.note import NoteSigner, VerifierKey

from tierproof_evidence_ledger import metrics
from tierproof_evidence_ledger.appender import Appender
from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.desk import Patience
from tierproof_evidence_ledger.duties import Duties
from tierproof_evidence_ledger.errors import Deposed, NotInOffice, StreamLost
from tierproof_evidence_ledger.inbasket import Inbasket, Item
from tierproof_evidence_ledger.publisher import Publisher
from tierproof_evidence_ledger.pull import Pull, left_over
from tierproof_evidence_ledger.relay import Relay
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.signers import signer_at
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.stream_positions import StreamPositions
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.together import first_ended

_log = structlog.get_logger()
SERVICE = "evidence-ledger"
DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError)
PASSING = (*DATABASE_ERRORS, BusError, StreamLost, Deposed, nats.errors.Error, OSError)


class Sequencer:
    """Runs terms until stopped. `in_office` tells whether this process may append now."""

    def __init__(self, settings: LedgerSettings, link: Link) -> None:
        self.in_office = False
        self._settings = settings
        self._link = link
        self._office = office_of(settings)
        self._inbasket: Inbasket | None = None

    @property
    def verifier_key(self) -> VerifierKey:
        """The public key of the log."""
        return self._office.signer.verifier_key

    async def note(self, kind: str, data: Mapping[str, Any]) -> int:
        """Have an act recorded and return its entry's seq; raises NotInOffice when this process is not the sequencer."""
        if self._inbasket is None:
            raise NotInOffice("this process is not the sequencer now")
        return await self._inbasket.note(kind, data)

    async def run(self, beside: Callable[[], Coroutine[None, None, None]]) -> None:
        """Hold office again and again, and do `beside` for as long as each term lasts.

        Raises Corrupted when the ledger must not be written, NotConfigured, and ends else only when cancelled.
        """
        while True:
            try:
                await self._term(beside)
            except PASSING as error:
                _log.warning("term.ended", reason=str(error)[:300] or type(error).__name__)
            finally:
                self.in_office, self._inbasket = False, None
            await asyncio.sleep(self._settings.reconnect_seconds)

    async def _term(self, beside: Callable[[], Coroutine[None, None, None]]) -> None:
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            lock, store, out, shown, beside_it = [
                await stack.enter_async_context(opened(settings.writer_dsn)) for _ in range(5)
            ]
            while not await lock.try_office():  # noqa: ASYNC110 - a standby must notice when its own connection breaks
                await asyncio.sleep(settings.watch_seconds)
            recorder = await begin(store, self._office)
            bus = Bus(JetStreams(self._link), settings, self._office.signers)
            relay = Relay(out, bus, self._office.vault, pause=settings.reconnect_seconds, most=settings.relayed_at_once)
            appender = await stack.enter_async_context(Appender.at(settings, recorder, relay.put))
            publisher = await stack.enter_async_context(Publisher.at(settings, shown, appender, relay.put))
            await publisher.agree()
            inbasket = Inbasket()
            stack.callback(inbasket.close)
            pulls = [await self._pull(consumer, appender, inbasket) for consumer in consumers_of(SERVICE)]
            duties = Duties(settings, inbasket.note, beside_it, self._link)
            self.in_office, self._inbasket = True, inbasket
            await first_ended(
                self._record(appender, inbasket),
                relay.run(),
                publisher.run(),
                duties.run(),
                beside(),
                self._guard(lock),
                *(pull.run() for pull in pulls),
            )

    async def _pull(self, consumer: Consumer, appender: Appender, inbasket: Inbasket) -> Pull:
        """Record what an earlier sequencer left over, and return the pull of what follows."""
        settings = self._settings
        positions = StreamPositions(self._link)
        created = (await positions.state(consumer.stream)).created
        left = await left_over(self._link, consumer, positions)
        for start in range(0, len(left.messages), settings.batch_events):
            await appender.append(left.messages[start : start + settings.batch_events], utc_now())
        await appender.settled()
        return Pull(
            self._link.client,
            consumer,
            created,
            next_delivery=left.next_delivery,
            batch=settings.batch_events,
            silence=settings.silence_seconds,
            arrived=inbasket.put,
        )

    async def _guard(self, lock: Store) -> None:
        """Notice when the connection that holds the office is gone."""
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            await lock.is_alive()

    async def _record(self, appender: Appender, inbasket: Inbasket) -> None:
        settings = self._settings
        while True:
            items, acts = await inbasket.take(
                settings.batch_events, linger=settings.batch_ms / 1000, patience=settings.sweep_ms / 1000
            )
            newest = {pull: reply for pull, _, reply in sorted(items, key=_place)}
            messages = [message for _, message, _ in items]
            await appender.append(messages, utc_now(), acts, partial(self._settle, inbasket, newest))

    async def _settle(self, inbasket: Inbasket, newest: dict[Pull, str], batch: Batch) -> None:
        """Tell who waits for an act, and the broker: the batch is committed and has its second copy."""
        inbasket.recorded(batch)
        with metrics.stage_seconds.labels("acknowledge").time():
            await self._acknowledge(newest)

    async def _acknowledge(self, last_replies: dict[Pull, str]) -> None:
        """Acknowledge each stream's last message, and with it all before. A lost one costs a redelivery and nothing else."""
        asked = [
            self._link.client.request(reply, b"+ACK", timeout=self._settings.answer_seconds)
            for reply in last_replies.values()
        ]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                _log.warning("acknowledgement.lost", reason=type(answer).__name__)


def _place(item: Item) -> int:
    return item[1].sequence


@contextlib.asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Store]:
    """Open a store and close it again."""
    store = await Store.open(dsn)
    try:
        yield store
    finally:
        await store.close()


def office_of(settings: LedgerSettings) -> Office:
    """Load or make the keys of the office; raises NotConfigured, NotSetUp or UnusableKey."""
    name = settings.log_name
    next_key, pq_file = settings.next_log_key, settings.log_pq_key_file
    return Office(
        signer=NoteSigner(name=name, signer=signer_at(settings.log_key_place)),
        next_signer=None if next_key is None else NoteSigner(name=name, signer=signer_at(next_key)),
        post_quantum=None if pq_file is None else Cosigner(name=name, signer=load_or_create_mldsa44_key(pq_file)),
        overlap=settings.log_key_overlap,
        vault=Vault.at(settings.text_key_place),
        signers=signers_in(settings.trust_file),
        patience=Patience(
            grace=timedelta(milliseconds=settings.grace_ms), undated=timedelta(milliseconds=settings.undated_ms)
        ),
        sweep_every=timedelta(milliseconds=settings.sweep_ms),
        holder=f"{socket.gethostname()}/{os.getpid()}",
    )
