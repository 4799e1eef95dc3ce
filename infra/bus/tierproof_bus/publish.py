"""Publishing: an event lies on its subject once, and who comes second learns what is there."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from tierproof_contracts import topology
from tierproof_contracts.catalogue import read_event, schema_name
from tierproof_contracts.envelope import Envelope, Event
from tierproof_contracts.ids import event_id_of, written
from tierproof_contracts.incident import PublicationRefusedV1
from tierproof_contracts.subjects import ROOT

from tierproof_bus import metrics, telemetry
from tierproof_bus.errors import Refused, Transient
from tierproof_bus.messages import Published, Raw, Received
from tierproof_bus.streams import Appended, Streams, Taken

_log = structlog.get_logger()
E = TypeVar("E", bound=Event)

# The tier or kind of a request is a choice, and no part of its identity: whoever chooses otherwise on a second delivery
# meets the first choice. All subjects below these types have one writer, so nobody can take another's place.
IDENTITY_IN_LAST_TOKEN = frozenset({"inference.requested.v1", "verification.requested.v1"})
_PUBLISH_ONCE = frozenset(stream.name for stream in topology.STREAMS if stream.publish_once)
_SUBJECTS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:subject")


def id_of_subject(subject: str) -> str:
    """Return the id of an event that has no readable cause: its one subject leads to it."""
    return str(uuid.uuid5(_SUBJECTS, subject))


def exclusion_of(event_type: str, subject: str) -> str:
    """Return the subject, or the pattern, on which publications of this event exclude each other."""
    if event_type in IDENTITY_IN_LAST_TOKEN:
        routing = ["*"] * (subject.count(".") - ROOT.count(".") - event_type.count(".") - 2)
        return ".".join((ROOT, event_type, *routing, subject.rsplit(".", 1)[1]))
    return subject


def about(data: Event) -> str:
    """Return what an event is about: its task, else the key of its subject."""
    return str(getattr(data, "task_id", None) or data.subject().rsplit(".", 1)[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Publishes as one user; `now` tells the time of an envelope, in UTC."""

    streams: Streams
    now: Callable[[], datetime]
    tries: int

    def envelope(self, data: E, cause: Received[Any] | Envelope[Any] | None, event_id: str) -> Envelope[E]:
        """Return the envelope in which an event travels."""
        origin = cause.envelope if isinstance(cause, Received) else cause
        stamp = written(self.now())
        return Envelope(
            id=event_id,
            type=data.event_type,
            source=self.streams.user,
            subject=about(data),
            time=stamp,
            dataschema=schema_name(data.event_type),
            correlationid=origin.correlationid if origin else about(data),
            causationid=origin.id if origin else None,
            traceparent=telemetry.traceparent() or (origin.traceparent if origin else None),
            data=data,
        )

    async def publish(
        self,
        data: E,
        *,
        cause: Received[Any] | Envelope[Any] | None = None,
        ordinal: int = 0,
        event_id: str | None = None,
    ) -> Published[E]:
        """Publish an event on its own subject; see Bus.publish."""
        envelope = self.envelope(data, cause, _id_for(data, cause, ordinal, event_id))
        return await self._store(envelope, data.subject(), {})

    async def publish_envelope(self, envelope: Envelope[E]) -> Published[E]:
        """Publish an event that was put in its envelope before, by an outbox for one."""
        return await self._store(envelope, envelope.data.subject(), {})

    async def publish_after(
        self, data: E, *, at: datetime, timer: str, cause: Received[Any] | Envelope[Any], first: bool
    ) -> Published[E]:
        """Leave an event with the broker, to be stored at a time; see Bus.publish_after."""
        envelope = self.envelope(data, cause, event_id_of(cause.id, data.event_type))
        target = data.subject()
        # The broker deletes a schedule once it has fired, so the target is asked first.
        fired = None if first else await self.streams.last(topology.stream_of(target), target)
        if fired is not None:
            return await self._compared(envelope, fired, target)
        return await self._store(envelope, timer, {"Nats-Schedule": _at(at), "Nats-Schedule-Target": target})

    async def _store(self, envelope: Envelope[E], subject: str, extra: dict[str, str]) -> Published[E]:
        stream = topology.stream_of(subject)
        exclusion = exclusion_of(envelope.type, subject) if not extra else subject
        headers = _headers(envelope, stream, subject, exclusion) | extra
        with metrics.timed_publication(envelope.type):
            answer = await self._append(stream, subject, envelope.to_bytes(), headers)
        if isinstance(answer, Appended) and not answer.duplicate:
            _log.info("event.published", event_type=envelope.type, event_id=envelope.id, sequence=answer.sequence)
            return Published(envelope=envelope, stored="new", sequence=answer.sequence)
        stored = await self._stored(stream, exclusion, answer, envelope.id)
        return await self._compared(envelope, stored, subject)

    async def _append(self, stream: str, subject: str, content: bytes, headers: dict[str, str]) -> Appended | Taken:
        for attempt in range(1, self.tries + 1):
            try:
                return await self.streams.append(stream, subject, content, headers)
            except Transient as error:
                metrics.retried_publications.labels(stream).inc()
                if attempt == self.tries:
                    raise
                _log.warning("publication.repeated", stream=stream, attempt=attempt, reason=error.diagnosis())
                await asyncio.sleep(0)
        raise AssertionError("tries is at least 1")

    async def _stored(self, stream: str, exclusion: str, answer: Appended | Taken, event_id: str) -> Raw:
        found = await self.streams.last(stream, exclusion)
        if isinstance(answer, Appended) and (found is None or _id_in(found) != event_id):
            # The broker knows the id from another subject: a repetition chose otherwise.
            found = await self.streams.at(stream, answer.sequence)
        if found is None:  # a schedule that fired just now, or a replica that lags; asking again settles it
            raise Transient(f"{exclusion}: taken, but the stored message cannot be read yet")
        return found

    async def _compared(self, ours: Envelope[E], stored: Raw, subject: str) -> Published[E]:
        theirs: Envelope[Any] = read_event(stored.content)
        if theirs.id == ours.id:
            _log.info("event.already_published", event_type=ours.type, event_id=ours.id, sequence=stored.sequence)
            return Published(envelope=theirs, stored="same", sequence=stored.sequence)
        _log.warning("publication.refused", event_type=ours.type, event_id=ours.id, kept=theirs.id)
        refusal = PublicationRefusedV1(
            service=self.streams.user, taken_subject=subject[:256], kept=theirs.id, refused=ours.id
        )
        if isinstance(ours.data, PublicationRefusedV1):
            raise Refused(f"{subject}: even the refusal was refused")
        await self.publish(refusal, cause=ours, event_id=id_of_subject(refusal.subject()))
        return Published(envelope=theirs, stored="conflict", sequence=stored.sequence)


def _id_in(raw: Raw) -> str:
    return read_event(raw.content).id


def _at(moment: datetime) -> str:
    return "@at " + moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _id_for(data: Event, cause: Received[Any] | Envelope[Any] | None, ordinal: int, event_id: str | None) -> str:
    if event_id is not None:
        return event_id
    if cause is None:
        return id_of_subject(data.subject())
    return event_id_of(cause.id, data.event_type, ordinal)


def _headers(envelope: Envelope[Any], stream: str, subject: str, exclusion: str) -> dict[str, str]:
    headers = {"Nats-Msg-Id": envelope.id, "content-type": "application/cloudevents+json"}
    if stream in _PUBLISH_ONCE:
        headers["Nats-Expected-Last-Subject-Sequence"] = "0"
    if exclusion != subject:
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = exclusion
    if envelope.traceparent:
        headers["traceparent"] = envelope.traceparent
    return headers
