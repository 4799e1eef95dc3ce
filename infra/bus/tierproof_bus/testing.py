"""For tests: a broker in memory for handlers (the same Bus over another port), and a service run inside a test.

The broker in memory keeps what JetStream promises here (publish once, dedupe by id, permissions, timers); both pass the
conformance tests in tests/contract/bus. Redelivery and acknowledgement it does not have: those are tested on a real server.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from tierproof_contracts import permissions, topology
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.envelope import Envelope, Event
from tierproof_proofs.keys import Verifier

from tierproof_bus.app import Service
from tierproof_bus.bus import Bus
from tierproof_bus.errors import NotPermitted, TooLarge
from tierproof_bus.messages import Raw, Received, read
from tierproof_bus.settings import BusSettings
from tierproof_bus.streams import Appended, Taken

E = TypeVar("E", bound=Event)
LARGEST = 1024 * 1024
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """A scheduled message: stored on `target` once `at` has come."""

    subject: str
    target: str
    at: datetime
    content: bytes


class MemoryBroker:
    """Streams in memory, shared by the buses of all users. Its clock stands until a test moves `moment`."""

    def __init__(self, moment: datetime = BEGINNING) -> None:
        self.moment = moment
        self.stored: list[Raw] = []
        self.timers: list[Timer] = []

    def bus(self, user: str, signers: Mapping[str, Verifier] | None = None) -> Bus:
        """Return the bus of a user of the topology (`app-<tenant>` for a producer)."""
        return Bus(_MemoryStreams(user, self), BusSettings(), signers or {}, now=lambda: self.moment)

    @property
    def envelopes(self) -> list[Envelope[Any]]:
        """All stored events, oldest first."""
        return [read_event(raw.content) for raw in self.stored]

    def of_type(self, event: type[E]) -> list[E]:
        """Return what the stored events of one type say, oldest first."""
        return [envelope.data for envelope in self.envelopes if isinstance(envelope.data, event)]

    def received(self, event: type[E], subject: str) -> Received[E]:
        """Return the event on a subject as a handler would receive it; raises LookupError when there is none."""
        found = next((raw for raw in self.stored if raw.subject == subject), None)
        if found is None:
            raise LookupError(subject)
        return read(found, event)

    def advance(self, moment: datetime) -> None:
        """Move the clock and fire the timers that are due."""
        self.moment = moment
        due = [timer for timer in self.timers if timer.at <= moment]
        self.timers = [timer for timer in self.timers if timer.at > moment]
        for timer in due:
            self.store(topology.stream_of(timer.target), timer.target, timer.content, {})

    def store(self, stream: str, subject: str, content: bytes, headers: Mapping[str, str]) -> Raw:
        """Append without any check."""
        sequence = 1 + sum(raw.stream == stream for raw in self.stored)
        raw = Raw(
            subject=subject,
            content=content,
            stream=stream,
            sequence=sequence,
            stored_at=self.moment,
            headers=dict(headers),
        )
        self.stored.append(raw)
        return raw


class _MemoryStreams:
    def __init__(self, user: str, broker: MemoryBroker) -> None:
        self._user = user
        self._broker = broker
        self._publishes = permissions.allowed_to_publish(_user_named(user))

    @property
    def user(self) -> str:
        return self._user

    async def append(self, stream: str, subject: str, content: bytes, headers: dict[str, str]) -> Appended | Taken:
        self._permit(subject)
        if len(content) > LARGEST:
            raise TooLarge(subject, len(content), LARGEST)
        msg_id = headers.get("Nats-Msg-Id")
        known = next((raw for raw in self._in(stream) if msg_id and raw.headers.get("Nats-Msg-Id") == msg_id), None)
        if known is not None:
            return Appended(sequence=known.sequence, duplicate=True)
        exclusion = headers.get("Nats-Expected-Last-Subject-Sequence-Subject", subject)
        if "Nats-Expected-Last-Subject-Sequence" in headers and self._last(stream, exclusion) is not None:
            return Taken(detail="wrong last sequence")
        raw = self._broker.store(stream, subject, content, headers)
        if "Nats-Schedule" in headers:
            at = datetime.fromisoformat(headers["Nats-Schedule"].removeprefix("@at "))
            target = headers["Nats-Schedule-Target"]
            self._broker.timers.append(Timer(subject=subject, target=target, at=at, content=content))
        return Appended(sequence=raw.sequence, duplicate=False)

    async def last(self, stream: str, subject: str) -> Raw | None:
        self._permit(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        return self._last(stream, subject)

    async def at(self, stream: str, sequence: int) -> Raw | None:
        self._permit(f"$JS.API.DIRECT.GET.{stream}")
        return next((raw for raw in self._in(stream) if raw.sequence == sequence), None)

    def _in(self, stream: str) -> list[Raw]:
        return [raw for raw in self._broker.stored if raw.stream == stream]

    def _last(self, stream: str, pattern: str) -> Raw | None:
        return next((raw for raw in reversed(self._in(stream)) if covers(pattern, raw.subject)), None)

    def _permit(self, subject: str) -> None:
        if not any(covers(pattern, subject) for pattern in self._publishes):
            raise NotPermitted(subject, self._user)


def covers(pattern: str, subject: str) -> bool:
    """Tell whether a NATS subject pattern covers a subject (`*` one token, `>` one or more at the end)."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        if len(tokens) < len(wanted):
            return False
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1]
    return len(wanted) == len(tokens) and all(w in ("*", t) for w, t in zip(wanted, tokens, strict=True))


def _user_named(name: str) -> topology.User:
    for user in (*topology.SERVICES, *topology.PEOPLE):
        if user.name == name:
            return user
    return topology.producer(name.removeprefix("app-"))


@contextlib.asynccontextmanager
async def serving(service: Service, seconds_to_stop: float = 15.0) -> AsyncIterator["asyncio.Task[int]"]:
    """Run a service in this loop and stop it in order; the task's result is the exit code."""
    stop = asyncio.Event()
    task = asyncio.create_task(service.serve(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, seconds_to_stop)


async def until(met: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a condition holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110 - any condition, and no event to wait for
            await asyncio.sleep(0.02)
