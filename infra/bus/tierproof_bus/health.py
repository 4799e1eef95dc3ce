"""Health: whether the consumers exist and move. A ping would say yes to a service that nobody feeds any more."""

import asyncio
import contextlib
import http.client
import json
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import generate_latest

from tierproof_bus import metrics
from tierproof_bus.errors import BusError, NotDurable, NotSetUp, Transient
from tierproof_bus.link import Link
from tierproof_bus.settings import BusSettings
from tierproof_bus.streams import answer_of

if TYPE_CHECKING:
    from tierproof_bus.app import Registration

_log = structlog.get_logger()
_CONSUMER_GONE = (10014, 10059)  # consumer not found, stream not found
_NANOSECONDS = 1e9


class Watch:
    """Looks at the service's durables from outside, again and again."""

    def __init__(
        self,
        service: str,
        link: Link,
        settings: BusSettings,
        registrations: Sequence["Registration"],
        ready_when: Sequence[Callable[[], bool]] = (),
    ) -> None:
        self.service = service
        self.started = False
        self._link = link
        self._settings = settings
        self._registrations = registrations
        self._ready_when = ready_when
        self._seen: dict[str, tuple[int, float]] = {}
        self._stalled: set[str] = set()

    @property
    def is_alive(self) -> bool:
        """False when a durable has work waiting and nothing moved for `stalled_seconds`: a restart may help."""
        return not self._stalled

    @property
    def is_ready(self) -> bool:
        """True when connected, started, moving, and the service's own conditions hold."""
        return self.started and self._link.is_connected and self.is_alive and all(met() for met in self._ready_when)

    async def ack_waits(self) -> dict[str, float]:
        """Return the ack_wait of each durable, in seconds; raises NotSetUp when one is missing."""
        waits: dict[str, float] = {}
        for registration in self._registrations:
            stream, durable = registration.consumer.stream, registration.consumer.durable
            info = await self._info(stream, durable)
            if info is None:
                raise NotSetUp(f"durable {durable} is missing on {stream}; run `python -m tierproof_bus provision`")
            waits[durable] = info["config"]["ack_wait"] / _NANOSECONDS
        return waits

    async def run(self) -> None:
        """Return when a durable is gone; only the provisioner brings it back, and only a new start finds it."""
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            for registration in self._registrations:
                try:
                    info = await self._info(registration.consumer.stream, registration.consumer.durable)
                except BusError:
                    continue  # away, not lost: the connection comes back by itself
                if info is None:
                    _log.error("consumer.lost", durable=registration.consumer.durable)
                    return
                self._note(registration.consumer.durable, info)

    def _note(self, durable: str, info: dict[str, Any]) -> None:
        """Compare with the last look: deliveries made, or handlers at work, are progress."""
        waiting = int(info["num_pending"])
        metrics.pending.labels(durable).set(waiting)
        delivered, now = int(info["delivered"]["consumer_seq"]), time.monotonic()
        before, since = self._seen.get(durable, (-1, now))
        moved = delivered != before or waiting == 0 or int(info["num_ack_pending"]) > 0
        self._seen[durable] = (delivered, now if moved else since)
        if not moved and now - since > self._settings.stalled_seconds:
            _log.error("consumer.stalled", durable=durable, pending=waiting)
            self._stalled.add(durable)
        else:
            self._stalled.discard(durable)

    async def _info(self, stream: str, durable: str) -> dict[str, Any] | None:
        answer = answer_of(await self._link.ask(f"$JS.API.CONSUMER.INFO.{stream}.{durable}", b""))
        if "error" not in answer:
            return answer
        if answer["error"].get("err_code") in _CONSUMER_GONE:
            return None
        raise Transient(f"{durable}: {answer['error'].get('description')}")


async def refuse_unsynced(settings: BusSettings) -> None:
    """Raise NotDurable when the broker acknowledges before it has written to disk (`sync_interval` is not `always`)."""
    if settings.monitoring_url is None:
        return
    synced = await asyncio.to_thread(_sync_always, settings.monitoring_url, settings.answer_seconds)
    if synced:
        return
    if not settings.allow_unsynced_broker:
        raise NotDurable(
            "the broker does not sync before it acknowledges: set `sync_interval: always` in its jetstream block"
        )
    _log.warning("broker.not_durable", consequence="a power cut loses acknowledged messages")


def _sync_always(monitoring_url: str, seconds: float) -> bool:
    parts = urllib.parse.urlsplit(monitoring_url)
    plain = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
    connection = plain(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", "/jsz?config=1")
        found = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotSetUp(
            f"{monitoring_url}/jsz cannot be read ({type(error).__name__}); mend TIERPROOF_MONITORING_URL"
        ) from None
    finally:
        connection.close()
    return bool(found.get("config", {}).get("sync_always"))


@contextlib.asynccontextmanager
async def served(watch: Watch, settings: BusSettings) -> AsyncIterator[asyncio.Server]:
    """Serve /livez, /readyz and /metrics."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(settings.answer_seconds):
                request = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                writer.write(_response(request, watch))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, settings.http_host, settings.http_port)
    _log.info("health.served", port=server.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        server.close()


def _response(request: bytes, watch: Watch) -> bytes:
    path = request.split(b" ")[1:2]
    match path:
        case [b"/livez"]:
            return _http(watch.is_alive, b"alive" if watch.is_alive else b"stalled")
        case [b"/readyz"]:
            return _http(watch.is_ready, b"ready" if watch.is_ready else b"not ready")
        case [b"/metrics"]:
            return _http(True, generate_latest())
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _http(good: bool, body: bytes) -> bytes:  # noqa: FBT001 - two answers
    status = b"200 OK" if good else b"503 Service Unavailable"
    return (
        b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (
            status,
            len(body),
            body,
        )
    )
