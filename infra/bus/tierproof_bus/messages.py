"""What comes from the bus and what went there, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

from tierproof_contracts.catalogue import read_event
from tierproof_contracts.envelope import Citation, Envelope, Event
from tierproof_contracts.errors import Unreadable

from tierproof_bus.errors import Misdirected

T = TypeVar("T", bound=Event, covariant=True)  # noqa: PLC0105 - the published name of the parameter
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A message as it came: where it lies, when the broker stored it (UTC), and how often it was delivered."""

    subject: str
    content: bytes
    stream: str
    sequence: int
    stored_at: datetime
    attempt: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received(Generic[T]):
    """An event that was read, with its place and the broker's time stamp (UTC)."""

    envelope: Envelope[T]
    stream: str
    sequence: int
    stored_at: datetime
    attempt: int
    subject: str

    @property
    def id(self) -> str:
        """The event's id."""
        return self.envelope.id

    @property
    def data(self) -> T:
        """What the event says."""
        return self.envelope.data

    @property
    def citation(self) -> Citation:
        """How another event names this one as evidence."""
        return self.envelope.citation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Generic[T]):
    """What is stored after a publication.

    `new`: ours. `same`: this event was there already; `envelope` is the stored one, go on with it.
    `conflict`: another event holds the subject; `envelope` is that one, ours was refused and the refusal is recorded.
    """

    envelope: Envelope[T]
    stored: Literal["new", "same", "conflict"]
    sequence: int


def read(raw: Raw, event: type[E]) -> Received[E]:
    """Read a message as an event of one type.

    Raises Unreadable, UnknownEvent (a version of the future), and Misdirected: who may write a subject is what the broker
    guarantees, so an event counts only where its own words put it.
    """
    envelope = read_event(raw.content)
    if not isinstance(envelope.data, event):
        raise Unreadable(f"type: {envelope.type} where {event.event_type} is due")
    if envelope.data.subject() != raw.subject:
        raise Misdirected(f"{envelope.type} belongs to another subject than {raw.subject[:200]}")
    return Received(
        envelope=envelope,
        stream=raw.stream,
        sequence=raw.sequence,
        stored_at=raw.stored_at,
        attempt=raw.attempt,
        subject=raw.subject,
    )
