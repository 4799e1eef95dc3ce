"""The process: one connection, health, questions, and the sequencer, until told to stop."""

import asyncio
import contextlib
import gc
import signal
from functools import partial

import psycopg
import structlog
from nats.aio.client import Client
from tierproof_bus import health
from tierproof_bus.app import COULD_NOT_START, LOST_CONSUMERS, STOPPED, Registration
from tierproof_bus.bus import Bus
from tierproof_bus.errors import BusError
from tierproof_bus.link import Link, connect
from tierproof_bus.messages import Raw
from tierproof_contracts.topology import consumers_of
from tierproof_proofs.errors import ProofError

from tierproof_evidence_ledger.apart import verified_apart
from tierproof_evidence_ledger.errors import Corrupted, LedgerError, NotConfigured
from tierproof_evidence_ledger.questions import Answers, serve_questions
from tierproof_evidence_ledger.sequencer import SERVICE, Sequencer
from tierproof_evidence_ledger.settings import LedgerSettings, trust_of
from tierproof_evidence_ledger.together import first_ended

_log = structlog.get_logger()
COLLECT_AFTER = (50_000, 20, 50)
LEDGER_CORRUPTED = 65  # sysexits.h EX_DATAERR: starting again does not help, `verify` names what is wrong


async def serve(settings: LedgerSettings, stop: asyncio.Event) -> int:
    """Serve until `stop` is set; return the exit code: 0 stopped, 65 ledger corrupted, 70 consumers lost, 78 not configured."""
    link = Link(SERVICE, settings)
    try:
        sequencer = Sequencer(settings, link)
        trust_of(settings)
        answers = Answers(
            settings.auditor_dsn,
            verified_apart,
            sequencer.note,
            page_bytes=settings.page_bytes,
            limit_ms=settings.question_ms,
        )
    except (LedgerError, BusError, ProofError) as error:
        _log.error("service.refused_to_start", reason=error.diagnosis())
        return COULD_NOT_START
    registrations = [Registration(consumer=consumer, work=_nothing, workers=1) for consumer in consumers_of(SERVICE)]
    watch = health.Watch(SERVICE, link, settings, registrations, [lambda: sequencer.in_office])
    async with contextlib.AsyncExitStack() as stack:
        if settings.http_port is not None:
            await stack.enter_async_context(health.served(watch, settings))
        client = await _connected(link, settings, stop)
        if client is None:
            return STOPPED
        stack.push_async_callback(client.close)
        try:
            await health.refuse_unsynced(settings)
            await watch.ack_waits()
        except BusError as error:
            _log.error("service.refused_to_start", reason=error.diagnosis())
            return COULD_NOT_START
        watch.started = True
        return await _until_done(stop, watch, sequencer, client, answers)


async def _until_done(
    stop: asyncio.Event, watch: health.Watch, sequencer: Sequencer, client: Client, answers: Answers
) -> int:
    """Wait for the first of: told to stop, a durable gone, work that ended by an error."""
    questions = partial(serve_questions, client, answers)  # asked of the one that can record them
    try:
        first = await first_ended(_stopped(stop), watch.run(), sequencer.run(questions))
    except Corrupted as error:
        _log.error("ledger.corrupted", reason=error.diagnosis())
        return LEDGER_CORRUPTED
    except psycopg.IntegrityError as error:  # what would be appended contradicts what is stored
        _log.error("ledger.corrupted", reason=type(error).__name__, constraint=error.diag.constraint_name)
        return LEDGER_CORRUPTED
    except (NotConfigured, ProofError) as error:
        _log.error("service.refused_to_start", reason=error.diagnosis())
        return COULD_NOT_START
    finally:
        answers.close()
    return LOST_CONSUMERS if first else STOPPED


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()


async def _connected(link: Link, settings: LedgerSettings, stop: asyncio.Event) -> Client | None:
    """Connect as soon as the broker is there; None when told to stop before."""
    connecting, stopping = asyncio.create_task(connect(link, settings)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        return connecting.result() if connecting.done() else None
    finally:
        connecting.cancel()
        stopping.cancel()


async def _nothing(_raw: Raw, _bus: Bus) -> None:
    """Stand in for a handler: the ledger pulls its messages itself, health only looks at its durables."""


async def until_signalled(settings: LedgerSettings) -> int:
    """Serve until SIGTERM or SIGINT."""
    gc.freeze()  # what was imported stays; of the many small objects of a batch hardly one is part of a circle
    gc.set_threshold(*COLLECT_AFTER)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await serve(settings, stop)
