"""The bus as a handler sees it: publish once, read back, look up signed documents."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self, TypeVar, overload

from tierproof_contracts import topology
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.documents import (
    DocumentName,
    FleetManifest,
    Reviewers,
    RoutingPolicy,
    Steering,
    TrainingPolicy,
)
from tierproof_contracts.envelope import Envelope, Event
from tierproof_proofs.keys import Verifier

from tierproof_bus.documents import Documents, signers_in
from tierproof_bus.link import Link, connect
from tierproof_bus.messages import Published, Raw, Received, read
from tierproof_bus.publish import Publisher
from tierproof_bus.settings import BusSettings
from tierproof_bus.streams import JetStreams, Streams

E = TypeVar("E", bound=Event)
Cause = Received[Any] | Envelope[Any]


def utc_now() -> datetime:
    """Return the time of this machine's clock, in UTC."""
    return datetime.now(tz=UTC)


class Bus:
    """What one user says and reads. Every method raises Transient on broker trouble and NotPermitted when denied."""

    def __init__(
        self,
        streams: Streams,
        settings: BusSettings,
        signers: Mapping[str, Verifier],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._streams = streams
        self._publisher = Publisher(streams=streams, now=now, tries=settings.publish_tries)
        self._documents = Documents(streams, signers)

    @property
    def user(self) -> str:
        """The name under which this side speaks."""
        return self._streams.user

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, user: str, settings: BusSettings) -> AsyncIterator[Self]:
        """Open a bus for a program that is no service: command line, relay, test."""
        link = Link(user, settings)
        client = await connect(link, settings)
        try:
            yield cls(JetStreams(link), settings, signers_in(settings.trust_file))
        finally:
            await client.close()

    async def publish(
        self, data: E, *, cause: Cause | None = None, ordinal: int = 0, event_id: str | None = None
    ) -> Published[E]:
        """Publish an event on its own subject, once for ever, and wait until the broker has stored it.

        Its id follows from the cause, the type and the ordinal, so a repetition meets what is stored: read `.stored` and go
        on with `.envelope`. A conflict is recorded as PublicationRefusedV1. Raises also TooLarge and Refused.
        """
        return await self._publisher.publish(data, cause=cause, ordinal=ordinal, event_id=event_id)

    async def publish_envelope(self, envelope: Envelope[E]) -> Published[E]:
        """Publish an event that was put in its envelope before, by an outbox for one; otherwise as `publish`."""
        return await self._publisher.publish_envelope(envelope)

    async def publish_after(
        self, data: E, *, at: datetime, timer: str, cause: Cause, first: bool = False
    ) -> Published[E]:
        """Leave an event with the broker, which stores it on the event's subject at `at` (UTC), restarts included.

        `timer` is the subject of the schedule itself. Repeating it is as harmless as repeating a publication. `first` says that
        nobody can have set this timer before, which saves the look whether it has fired.
        """
        return await self._publisher.publish_after(data, at=at, timer=timer, cause=cause, first=first)

    async def read(self, event: type[E], subject: str) -> Received[E] | None:
        """Return the last event on a subject, None when there is none; raises Unreadable, UnknownEvent, Misdirected."""
        found = await self._streams.last(topology.stream_of(subject), subject)
        return read(found, event) if found else None

    async def read_sequence(self, stream: str, sequence: int) -> Received[Any] | None:
        """Return the event of any known type at a sequence, None when there is none; raises as `read` does."""
        found = await self._streams.at(stream, sequence)
        return read(found, type(read_event(found.content).data)) if found else None

    async def read_raw(self, stream: str, sequence: int) -> Raw | None:
        """Return the message at a sequence as it came, readable or not; None when there is none."""
        return await self._streams.at(stream, sequence)

    @overload
    async def document(self, name: Literal["routing-policy"], digest: str) -> RoutingPolicy: ...
    @overload
    async def document(self, name: Literal["fleet-manifest"], digest: str) -> FleetManifest: ...
    @overload
    async def document(self, name: Literal["reviewers"], digest: str) -> Reviewers: ...
    @overload
    async def document(self, name: Literal["training-policy"], digest: str) -> TrainingPolicy: ...
    async def document(self, name: Any, digest: str) -> Any:
        """Return a signed document by digest, verified; raises Transient while it is missing, else UntrustedDocument."""
        return await self._documents.document(name, digest)

    @overload
    async def document_in_force(self, name: Literal["routing-policy"]) -> RoutingPolicy: ...
    @overload
    async def document_in_force(self, name: Literal["fleet-manifest"]) -> FleetManifest: ...
    @overload
    async def document_in_force(self, name: Literal["reviewers"]) -> Reviewers: ...
    @overload
    async def document_in_force(self, name: Literal["training-policy"]) -> TrainingPolicy: ...
    @overload
    async def document_in_force(self, name: DocumentName) -> Steering: ...
    async def document_in_force(self, name: Any) -> Any:
        """Return the signed document published last under a name; raises as `document` does."""
        return await self._documents.document_in_force(name)
