"""The authority over HTTP: `POST /` with a query (RFC 3161 section 3.4), and `/livez`, `/readyz`."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from aiohttp import web

from tierproof_tsa.authority import Authority, utc_now
from tierproof_tsa.errors import TsaError
from tierproof_tsa.identity import Making, load_or_create
from tierproof_tsa.query import Failure, Refused
from tierproof_tsa.settings import TsaSettings
from tierproof_tsa.ticks import Ticks
from tierproof_tsa.token import Terms

QUERY = "application/timestamp-query"
REPLY = "application/timestamp-reply"
log = structlog.get_logger()


class CannotListen(TsaError):
    """Address or port are taken, or not ours."""


def open_authority(settings: TsaSettings) -> Authority:
    """Return the authority of the settings' files, made where they are missing. Raises TsaError."""
    making = Making(name=settings.name, days=settings.certificate_days, at=utc_now())
    identity = load_or_create(settings.path("key_file"), settings.path("certificate_file"), making)
    identity.require_valid(making.at)
    ticks = Ticks(settings.path("state_file"), patience=timedelta(milliseconds=settings.accuracy_ms))
    return Authority(
        identity=identity, terms=Terms(policy=settings.policy, accuracy_ms=settings.accuracy_ms), ticks=ticks
    )


def application(authority: Authority, settings: TsaSettings) -> web.Application:
    """Return the HTTP application of an authority."""

    async def stamp(request: web.Request) -> web.Response:
        if request.content_type != QUERY:
            return web.Response(status=415, text=f"send {QUERY}\n")
        try:
            async with asyncio.timeout(settings.body_seconds):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408, text="the query did not arrive in time\n")
        except web.HTTPRequestEntityTooLarge:
            why = f"a query has at most {settings.largest_query} bytes"
            return _reply(authority.refused(Refused(failure=Failure.BAD_DATA_FORMAT, because=why)), status=413)
        return _reply(authority.answer(body))

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        why_not = authority.able()
        return web.Response(text=f"{why_not or 'ready'}\n", status=503 if why_not else 200)

    app = web.Application(client_max_size=settings.largest_query)
    app.add_routes([web.post("/", stamp), web.get("/livez", alive), web.get("/readyz", ready)])
    return app


def _reply(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=REPLY)


@asynccontextmanager
async def serving(settings: TsaSettings) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL to post queries to. Raises TsaError."""
    authority = open_authority(settings)
    with authority.ticks:
        runner = web.AppRunner(
            application(authority, settings), access_log=None, shutdown_timeout=settings.grace_seconds
        )
        await runner.setup()
        try:
            await _listen(runner, settings)
            host, port = runner.addresses[0][:2]
            log.info("tsa.serving", host=host, port=port, policy=settings.policy)
            yield f"http://{host}:{port}/"
        finally:
            await runner.cleanup()
            log.info("tsa.stopped")


async def _listen(runner: web.AppRunner, settings: TsaSettings) -> None:
    try:
        await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    except OSError as error:
        raise CannotListen(f"{settings.http_host}:{settings.http_port}: {error.strerror}") from None


async def until_signalled(settings: TsaSettings) -> int:
    """Serve until SIGTERM or SIGINT; open answers are finished first. Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings):
        await stop.wait()
    return 0
