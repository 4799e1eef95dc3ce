"""The sequencer: one process in office at a time; messages in batches, one commit, then one acknowledgement per stream."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import nats.errors
import psycopg
import structlog
from tierproof_bus.bus import Bus, utc_now
from tierproof_bus.documents import signers_in
from tierproof_bus.errors import BusError
from tierproof_bus.link import Link
from tierproof_bus.streams import JetStreams
from tierproof_contracts.topology import Consumer, consumers_of
from tierproof_proofs.keys import load_or_create_key
from tierproof_proofs.note import NoteSigner, VerifierKey

from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.desk import Patience
from tierproof_evidence_ledger.errors import Deposed, StreamLost
from tierproof_evidence_ledger.pull import Pull, created_at, left_over
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.relay import Relay
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.together import first_ended

_log = structlog.get_logger()
SERVICE = "evidence-ledger"
PASSING = (psycopg.OperationalError, psycopg.InterfaceError, BusError, StreamLost, Deposed, nats.errors.Error, OSError)
Item = tuple[Pull, Delivered, str]


class Inbasket:
    """Messages that were delivered and not recorded yet, in order of arrival."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._more = asyncio.Event()

    def put(self, pull: Pull, message: Delivered, reply: str) -> None:
        """Add a message with the subject that acknowledges it."""
        self._items.append((pull, message, reply))
        self._more.set()

    async def take(self, most: int, *, linger: float, patience: float) -> list[Item]:
        """Return up to `most` messages: wait `patience` for the first, then `linger` for more; empty when none came. Seconds."""
        await self._wait(1, patience)
        if self._items:
            await self._wait(most, linger)
        taken, self._items = self._items[:most], self._items[most:]
        return taken

    async def _wait(self, enough: int, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self._items) < enough:
                    self._more.clear()
                    await self._more.wait()


class Sequencer:
    """Runs terms until stopped. `in_office` tells whether this process may append now."""

    def __init__(self, settings: LedgerSettings, link: Link) -> None:
        self.in_office = False
        self._settings = settings
        self._link = link
        self._office = office_of(settings)

    @property
    def verifier_key(self) -> VerifierKey:
        """The public key of the log."""
        return self._office.signer.verifier_key

    async def run(self) -> None:
        """Hold office again and again; raises Corrupted when the ledger must not be written, else only when cancelled."""
        while True:
            try:
                await self._term()
            except PASSING as error:
                _log.warning("term.ended", reason=str(error)[:300] or type(error).__name__)
            finally:
                self.in_office = False
            await asyncio.sleep(self._settings.reconnect_seconds)

    async def _term(self) -> None:
        settings = self._settings
        async with (
            opened(settings.writer_dsn) as lock,
            opened(settings.writer_dsn) as store,
            opened(settings.writer_dsn) as out,
        ):
            while not await lock.try_office():  # noqa: ASYNC110 - a standby must notice when its own connection breaks
                await asyncio.sleep(settings.watch_seconds)
            recorder = await begin(store, self._office)
            bus = Bus(JetStreams(self._link), settings, self._office.signers)
            relay = Relay(out, bus, self._office.vault, pause=settings.reconnect_seconds, most=settings.relayed_at_once)
            inbasket = Inbasket()
            pulls = [await self._pull(consumer, recorder, relay, inbasket) for consumer in consumers_of(SERVICE)]
            self.in_office = True
            await first_ended(
                self._record(recorder, relay, inbasket), relay.run(), self._guard(lock), *(pull.run() for pull in pulls)
            )

    async def _pull(self, consumer: Consumer, recorder: Recorder, relay: Relay, inbasket: Inbasket) -> Pull:
        """Record what an earlier sequencer left over, and return the pull of what follows."""
        settings = self._settings
        created = await created_at(self._link, consumer.stream)
        left = await left_over(self._link, consumer, created)
        for start in range(0, len(left.messages), settings.batch_events):
            batch = await recorder.record(left.messages[start : start + settings.batch_events], utc_now())
            relay.put(batch.outbox)
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

    async def _record(self, recorder: Recorder, relay: Relay, inbasket: Inbasket) -> None:
        settings = self._settings
        while True:
            items = await inbasket.take(
                settings.batch_events, linger=settings.batch_ms / 1000, patience=settings.sweep_ms / 1000
            )
            batch = await recorder.record([message for _, message, _ in items], utc_now())
            relay.put(batch.outbox)
            newest = {pull: reply for pull, _, reply in sorted(items, key=lambda item: item[1].sequence)}
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
    key = load_or_create_key(settings.key_file("log_key_file"))
    return Office(
        signer=NoteSigner(name=settings.log_name, signer=key),
        vault=Vault.at(settings.key_file("text_key_file")),
        signers=signers_in(settings.trust_file),
        patience=Patience(
            grace=timedelta(milliseconds=settings.grace_ms), undated=timedelta(milliseconds=settings.undated_ms)
        ),
        announce_every=timedelta(milliseconds=settings.announce_ms),
        sweep_every=timedelta(milliseconds=settings.sweep_ms),
        holder=f"{socket.gethostname()}/{os.getpid()}",
    )
