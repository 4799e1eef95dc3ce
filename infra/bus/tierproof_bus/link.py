"""One user's connection: ask the broker something, and get an answer or an error with a name."""

import asyncio
import ssl
from typing import Any

import nats
import nats.errors
import structlog
from faststream.nats.security import NatsNKey, NatsSecurity
from nats.aio.client import Client
from nats.aio.msg import Msg
from tierproof_contracts import topology

from tierproof_bus.errors import NotPermitted, TooLarge, Transient
from tierproof_bus.settings import BusSettings

_log = structlog.get_logger()
_DENIED = "permissions violation for publish to"


class Link:
    """A connection that comes back for ever, and knows its user's name."""

    def __init__(self, user: str, settings: BusSettings) -> None:
        self.user = user
        self.patience = settings.answer_seconds
        self._client: Client | None = None
        self._asking: dict[str, set[asyncio.Timeout]] = {}

    @property
    def client(self) -> Client:
        """The NATS client; raises Transient before the first connection."""
        if self._client is None:
            raise Transient("not connected to the broker yet")
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._client is not None and bool(self._client.is_connected)

    @property
    def largest(self) -> int:
        """The largest message that the broker takes, in bytes."""
        return int(self.client.max_payload)

    def use(self, client: Client) -> None:
        """Go on with a connected client."""
        self._client = client

    async def on_error(self, error: Exception) -> None:
        """Hear what the broker complains about; a denied publication reaches its waiting asker."""
        text = str(error)
        lowered = text.lower()
        if _DENIED in lowered:
            subject = lowered.split(_DENIED, 1)[1].strip().strip('"').split('"')[0]
            for waiting in self._asking.get(subject, ()):
                if not waiting.expired():
                    waiting.reschedule(asyncio.get_running_loop().time())
        _log.warning("broker.complained", user=self.user, complaint=text[:300] or type(error).__name__)

    async def on_disconnect(self) -> None:
        """Note that the broker is gone."""
        _log.warning("broker.lost", user=self.user)

    async def on_reconnect(self) -> None:
        """Note that the broker is back."""
        _log.info("broker.found", user=self.user)

    async def ask(self, subject: str, content: bytes, headers: dict[str, str] | None = None) -> Msg:
        """Send a request and return the reply; raises Transient, TooLarge or NotPermitted."""
        if len(content) > self.largest:
            raise TooLarge(subject, len(content), self.largest)
        waiting = self._asking.setdefault(subject.lower(), set())
        try:
            # It has no deadline of its own: a denial, which comes beside the request, ends it at once.
            async with asyncio.timeout(None) as denied:
                waiting.add(denied)
                return await self._request(subject, content, headers)
        except TimeoutError:
            raise NotPermitted(subject, self.user) from None
        finally:
            waiting.discard(denied)
            if not waiting:
                self._asking.pop(subject.lower(), None)

    async def _request(self, subject: str, content: bytes, headers: dict[str, str] | None) -> Msg:
        try:
            return await self.client.request(subject, content, timeout=self.patience, headers=headers)
        except nats.errors.NoRespondersError:
            raise Transient(f"nobody answers on {subject}: is the stream provisioned and JetStream up?") from None
        except nats.errors.MaxPayloadError:
            raise TooLarge(subject, len(content), self.largest) from None
        except nats.errors.TimeoutError:
            raise Transient(f"no answer on {subject} within {self.patience} s") from None
        except (nats.errors.Error, OSError) as error:
            raise Transient(f"{subject}: {type(error).__name__}") from None


def connection_options(link: Link, settings: BusSettings) -> dict[str, Any]:
    """Return the options that nats-py and FastStream share: identity, own inbox, and reconnecting for ever."""
    return {
        "servers": [settings.nats_url],
        "name": f"tierproof-{link.user}",
        "inbox_prefix": topology.inbox_of(link.user),
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": settings.reconnect_seconds,
        "ping_interval": settings.ping_seconds,
        "error_cb": link.on_error,
        "disconnected_cb": link.on_disconnect,
        "reconnected_cb": link.on_reconnect,
    }


def _tls(settings: BusSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=settings.nats_ca_file) if settings.nats_ca_file else None


def security_of(settings: BusSettings) -> NatsSecurity | None:
    """Return FastStream's security object for the seed file and the authority of the broker's certificate."""
    context = _tls(settings)
    if settings.nkey_seed_file is not None:
        return NatsNKey.from_file(str(settings.nkey_seed_file), ssl_context=context, use_ssl=context is not None)
    return NatsSecurity(ssl_context=context, use_ssl=True) if context else None


async def connect(link: Link, settings: BusSettings) -> Client:
    """Connect for a program that is no service."""
    options = connection_options(link, settings)
    if settings.nkey_seed_file is not None:
        options["nkeys_seed"] = str(settings.nkey_seed_file)
    if (context := _tls(settings)) is not None:
        options["tls"] = context
    client = await nats.connect(**options)
    link.use(client)
    return client
