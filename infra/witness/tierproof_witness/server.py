"""The witness over HTTP: `POST /add-checkpoint`, `GET /<origin hash>/checkpoint` (tlog-witness), and `/healthz`."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from tierproof_witness.decide import Conflict, Refused
from tierproof_witness.errors import CannotListen, StoreUnusable
from tierproof_witness.identity import Files, establish
from tierproof_witness.logs import Logs
from tierproof_witness.settings import WitnessSettings
from tierproof_witness.store import Store
from tierproof_witness.witness import Cosigned, Witness

SIZE_TYPE = "text/x.tlog.size"
log = structlog.get_logger()


class Desk:
    """Answers requests from a witness."""

    def __init__(self, witness: Witness, body_seconds: float) -> None:
        self._witness = witness
        self._body_seconds = body_seconds

    async def add_checkpoint(self, request: web.Request) -> web.Response:
        """Answer a submission; the record is on disk before this returns."""
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await request.read()
        except TimeoutError:
            return _said(408, "the submission did not arrive in time")
        # A client that goes away does not stop what has begun: the thread commits or rolls back.
        match await asyncio.to_thread(self._witness.submit, body):
            case Cosigned(lines=lines):
                return web.Response(text=lines)
            case Conflict(size=size):
                return web.Response(status=409, body=b"%d\n" % size, content_type=SIZE_TYPE)
            case Refused(reason=reason, because=because):
                return _said(int(reason), because)

    async def checkpoint(self, request: web.Request) -> web.Response:
        """Show the newest checkpoint that was cosigned of a log."""
        origin = self._witness.logs.origin_of(request.match_info["origin"])
        note = None if origin is None else await asyncio.to_thread(self._witness.store.note_of, origin)
        return _said(404, "nothing of this log was cosigned") if note is None else web.Response(text=note)

    async def health(self, _request: web.Request) -> web.Response:
        """Tell whether the store answers."""
        await asyncio.to_thread(self._witness.store.note_of, "")
        return _said(200, "ready")


@web.middleware
async def _store_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 503 when the store fails: nothing was cosigned, and the log may come again."""
    try:
        return await handler(request)
    except StoreUnusable as error:
        log.error("witness.store_unusable", reason=error.diagnosis())  # noqa: TRY400 - a fact, the trace says no more
        return _said(503, "the witness cannot remember now; nothing was cosigned")


def application(witness: Witness, settings: WitnessSettings) -> web.Application:
    """Return the HTTP application of a witness."""
    desk = Desk(witness, settings.body_seconds)
    app = web.Application(client_max_size=settings.largest_body, middlewares=[_store_failures])
    app.add_routes(
        [
            web.post("/add-checkpoint", desk.add_checkpoint),
            web.get("/{origin:[0-9a-f]{64}}/checkpoint", desk.checkpoint),
            web.get("/healthz", desk.health),
        ]
    )
    return app


def _said(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=f"{sentence}\n")


@contextlib.asynccontextmanager
async def serving(settings: WitnessSettings) -> AsyncIterator[str]:
    """Serve until the block ends; yields the submission prefix. Raises WitnessError and ProofError."""
    files, logs = Files.of(settings), Logs(settings.path("logs_file"))
    cosigners = establish(settings.name, files, busy_seconds=settings.busy_seconds)
    with contextlib.closing(Store(files.store, busy_seconds=settings.busy_seconds)) as store:
        witness = Witness(cosigners=cosigners, store=store, logs=logs, clock=lambda: int(time.time()))
        runner = web.AppRunner(application(witness, settings), access_log=None, shutdown_timeout=settings.grace_seconds)
        await runner.setup()
        try:
            await _listen(runner, settings)
            host, port = runner.addresses[0][:2]
            log.info("witness.serving", name=settings.name, host=host, port=port)
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()
            log.info("witness.stopped")


async def _listen(runner: web.AppRunner, settings: WitnessSettings) -> None:
    try:
        await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    except OSError as error:
        raise CannotListen(f"{settings.http_host}:{settings.http_port}: {error.strerror}") from None


async def until_signalled(settings: WitnessSettings) -> int:
    """Serve until SIGTERM or SIGINT; open answers are finished first. Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings):
        await stop.wait()
    return 0
