"""From a delivery to its ending: FastStream brings the message, the handler works, this settles.

The message is settled in `__aexit__`, on the raw message: what cannot even be read ends there as well.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, assert_never

import nats.errors
import structlog
from faststream import BaseMiddleware, ContextRepo
from faststream.message import StreamMessage
from nats.aio.msg import Msg
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.errors import ContractError
from tierproof_contracts.incident import DeadLetteredV1, Origin

from tierproof_bus import logs, metrics
from tierproof_bus.bus import Bus
from tierproof_bus.errors import BusError
from tierproof_bus.messages import Raw
from tierproof_bus.publish import id_of_subject
from tierproof_bus.settle import Dead, Done, Retry, settle

_log = structlog.get_logger()
_SHARE_OF_ACK_WAIT = 3  # two heartbeats may be lost before the broker delivers the message to someone else


def raw_of(message: Msg) -> Raw:
    """Return a delivery as a value."""
    placed = message.metadata
    return Raw(
        subject=message.subject,
        content=message.data,
        stream=placed.stream,
        sequence=placed.sequence.stream,
        stored_at=placed.timestamp,
        attempt=placed.num_delivered,
        headers=dict(message.headers or {}),
    )


async def as_it_came(message: StreamMessage[Msg]) -> Msg:
    """Decode nothing: reading is the handler's first step, so that its errors are settled like any other."""
    return message.raw_message


def event_type_of(subject: str) -> str:
    """Return the event type that a subject names, for labels."""
    return ".".join(subject.split(".")[1:4])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """Makes the middleware of each delivery. `ack_wait` in seconds by durable."""

    bus: Bus
    delays: Sequence[float]
    ack_wait: dict[str, float] = field(default_factory=dict)

    def __call__(self, message: Any, /, *, context: ContextRepo) -> "_Delivery":  # noqa: ANN401 - FastStream's type
        """Return the middleware of one delivery."""
        return _Delivery(message, context=context, settling=self)


class _Delivery(BaseMiddleware[Any, Any]):
    def __init__(self, message: Msg, /, *, context: ContextRepo, settling: Settling) -> None:
        super().__init__(message, context=context)
        self._settling = settling
        self._raw = raw_of(message)
        self._heart: asyncio.Task[None] | None = None
        self._stack = contextlib.ExitStack()

    async def on_receive(self) -> None:
        event_type = event_type_of(self._raw.subject)
        self._stack.enter_context(logs.about(stream=self._raw.stream, sequence=str(self._raw.sequence)))
        self._stack.enter_context(metrics.timed_handler(event_type))
        wait = self._settling.ack_wait[self.msg.metadata.consumer]
        self._heart = asyncio.create_task(_beat(self.msg, wait / _SHARE_OF_ACK_WAIT))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool:
        if self._heart is not None:
            self._heart.cancel()
        try:
            await self._settle(exc_val)
        except (nats.errors.Error, BusError) as error:  # the broker is away: it delivers the message again
            _log.warning("settling.failed", reason=type(error).__name__)
        finally:
            self._stack.close()
        return isinstance(exc_val, Exception)

    async def _settle(self, error: BaseException | None) -> None:
        ending = settle(error, self._raw.attempt, self._settling.delays)
        event_type = event_type_of(self._raw.subject)
        metrics.handled.labels(event_type, type(ending).__name__.lower()).inc()
        match ending:
            case Done():
                await self.msg.ack_sync()
            case Retry(delay):
                _log.warning(
                    "event.retried", event_type=event_type, attempt=self._raw.attempt, delay=delay, reason=_why(error)
                )
                await self.msg.nak(delay=delay)
            case Dead():
                await self._bury(ending, event_type)
            case unreachable:
                assert_never(unreachable)

    async def _bury(self, ending: Dead, event_type: str) -> None:
        """Record the dead letter, then end deliveries; without the record the message comes again."""
        letter = DeadLetteredV1(
            service=self._settling.bus.user,
            reason=ending.reason,
            detail=ending.detail,
            attempts=self._raw.attempt,
            origin=Origin(stream=self._raw.stream, sequence=self._raw.sequence, subject=self._raw.subject[:256]),
        )
        try:
            await self._settling.bus.publish(letter, cause=_cause(self._raw), event_id=id_of_subject(letter.subject()))
        except BusError as error:
            _log.error("dead_letter.failed", reason=error.diagnosis())
            await self.msg.nak(delay=self._settling.delays[-1] if self._settling.delays else None)
            return
        _log.error("event.dead_lettered", event_type=event_type, reason=ending.reason, detail=ending.detail)
        await self.msg.term()


def _why(error: BaseException | None) -> str:
    return error.diagnosis() if isinstance(error, BusError) else type(error).__name__


def _cause(raw: Raw) -> Envelope[Any] | None:
    try:
        return read_event(raw.content)
    except ContractError:
        return None


async def _beat(message: Msg, every: float) -> None:
    """Tell the broker that the handler is alive, until cancelled."""
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(nats.errors.Error):
            await message.in_progress()
