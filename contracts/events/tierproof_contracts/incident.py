"""Incidents of delivery: a message that nobody could handle, and a publication that came second."""

from typing import ClassVar

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.envelope import Event, Part
from tierproof_contracts.ids import EventId, Service


class Origin(Part):
    """Where the message lies: its stream, sequence and subject. Its text is not copied."""

    stream: str = Field(pattern=r"^[A-Z][A-Z0-9_-]{0,31}$")
    sequence: int = Field(ge=1)
    subject: str = Field(max_length=256)


class DeadLetteredV1(Event):
    """A service gave a message up. `detail` names fields and types, never values of texts."""

    event_type: ClassVar[str] = "dead.lettered.v1"

    service: Service
    reason: str = Field(max_length=64)
    detail: str = Field(max_length=500)
    attempts: int = Field(ge=1)
    origin: Origin

    def subject(self) -> str:
        """Return one subject per service and message, so that giving up twice is recorded once."""
        return subjects.dead_lettered(self.service, self.origin.stream, self.origin.sequence)


class PublicationRefusedV1(Event):
    """A second, different event met a subject that was already taken: the first stands, the second is named here."""

    event_type: ClassVar[str] = "publication.refused.v1"

    service: Service
    taken_subject: str = Field(max_length=256)
    kept: EventId
    refused: EventId

    def subject(self) -> str:
        """Return the refusal's own subject."""
        return subjects.publication_refused(self.service, self.refused)
