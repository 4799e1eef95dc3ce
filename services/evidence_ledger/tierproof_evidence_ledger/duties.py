"""What a sequencer does by the clock: time stamps for checkpoints, records of the clocks, deep verification of itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from tierproof_bus.errors import BusError
from tierproof_bus.link import Link
from tierproof_proofs.note import parse_note

from tierproof_evidence_ledger import metrics, opening
from tierproof_evidence_ledger.acts import CLOCKED, VERIFIED
from tierproof_evidence_ledger.apart import verified_apart
from tierproof_evidence_ledger.clock import ClockUnreadable, broker_time, gathered
from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.host_clock import HostClock
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.timestamps import Authority, certificates_in, stamp
from tierproof_evidence_ledger.together import first_ended

_log = structlog.get_logger()
Note = Callable[[str, Mapping[str, Any]], Awaitable[int]]
CLOCK_TRIES = 3
POLL_SECONDS = 5.0  # how soon a first checkpoint, or an authority that came back, is noticed


class Duties:
    """Runs for one term; `note` appends an act, `store` is a connection that nobody else writes batches with."""

    def __init__(self, settings: LedgerSettings, note: Note, store: Store, link: Link) -> None:
        self._settings, self._note, self._store, self._link = settings, note, store, link

    async def run(self) -> None:
        """Do them until cancelled; what cannot be done now is logged, and tried again."""
        settings = self._settings
        metrics.begun()
        duties = [
            self._every("clocks", settings.clock_minutes * 60, self._clock),
            self._every("verification", settings.verify_hours * 3600, self._verify, at_once=False),
        ]
        if settings.tsa_url is not None:
            stamping = partial(self._stamp, _authority(settings, settings.tsa_url))
            duties.append(self._every("time stamp", settings.stamp_minutes * 60, stamping))
        await first_ended(*duties)

    async def _every(
        self, name: str, seconds: float, duty: Callable[[], Awaitable[bool]], *, at_once: bool = True
    ) -> None:
        if not at_once:
            await asyncio.sleep(seconds)
        while True:
            try:
                done = await duty()
            except LedgerError as error:
                _log.warning("duty.failed", duty=name, reason=error.diagnosis())
                done = False
            await asyncio.sleep(seconds if done else min(POLL_SECONDS, seconds))

    async def _clock(self) -> bool:
        clocks = {"database": self._database_time, "broker": self._broker_time}
        found = await gathered(clocks, HostClock(), tries=CLOCK_TRIES, seconds=self._settings.answer_seconds)
        await self._note(CLOCKED, found)
        return True

    async def _database_time(self) -> datetime:
        moment: datetime = (await self._store.one("SELECT clock_timestamp()"))[0]
        return moment

    async def _broker_time(self) -> datetime:
        try:
            return broker_time((await self._link.ask("$JS.API.STREAM.INFO.EVIDENCE", b"")).data)
        except BusError as error:
            raise ClockUnreadable(error.diagnosis()) from None

    async def _stamp(self, authority: Authority) -> bool:
        published = await opening.last_published(self._store)
        if published is None:
            return False
        size, note, _ = published
        await self._store.stamp(size, await stamp(authority, parse_note(note.encode()).text.encode()))
        metrics.stamped_at.set_to_current_time()
        _log.info("checkpoint.stamped", size=size)
        return True

    async def _verify(self) -> bool:
        began = asyncio.get_running_loop().time()
        report = await verified_apart()
        seconds = asyncio.get_running_loop().time() - began
        await self._note(VERIFIED, report.summary() | {"seconds_milli": round(1000 * seconds)})
        metrics.verified(len(report.faults))
        for fault in report.faults:
            _log.error("ledger.fault", entry=fault.seq, what=fault.what)
        return True


def _authority(settings: LedgerSettings, url: str) -> Authority:
    return Authority(
        url=url,
        certificates=certificates_in(settings.tsa_certificates or Path()),
        seconds=settings.tsa_seconds,
        largest_reply=settings.tsa_largest_reply,
    )
