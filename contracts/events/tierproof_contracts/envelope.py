"""The envelope of every event: CloudEvents 1.0, structured JSON mode, with correlation and causation."""

import json
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from tierproof_contracts.canonical import digest_of, refuse_ambiguous
from tierproof_contracts.errors import NotCanonical, Unreadable, explain_validation
from tierproof_contracts.ids import Digest, EventId, Instant, Name, tenant_of
from tierproof_contracts.text import sealed


class Part(BaseModel):
    """A part of an event: immutable; unknown fields are left alone, so that old readers read newer events."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Part):
    """What an event says. Each subclass is one version of one event type."""

    event_type: ClassVar[str]

    @model_validator(mode="after")
    def _owned_by_tenant(self) -> Self:
        tenant, task_id = getattr(self, "tenant", None), getattr(self, "task_id", None)
        if tenant is not None and task_id is not None and tenant_of(task_id) != tenant:
            raise ValueError("task_id must start with the tenant and an underscore")
        return self

    def subject(self) -> str:
        """Return the one subject on which this event may be published."""
        raise TypeError(f"{type(self).__name__} does not name its subject")


class Citation(Part):
    """A committed event named by id and by the digest of what it said (texts sealed, time and trace aside)."""

    event_id: EventId
    digest: Digest


DataT = TypeVar("DataT", bound=Event)


class Envelope(BaseModel, Generic[DataT]):
    """An event with its origin. `subject` is the thing it is about: a task, a model, a document."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: EventId
    type: str
    source: Name
    subject: str = Field(min_length=1, max_length=200)
    time: Instant
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    correlationid: str = Field(min_length=1, max_length=100)
    causationid: EventId | None = None
    traceparent: str | None = Field(default=None, pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    data: DataT
    _received: dict[str, Any] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _type_of_its_data(self) -> Self:
        if self.type != self.data.event_type:
            raise ValueError(f"type must be {self.data.event_type}, which is what data says")
        return self

    def to_bytes(self) -> bytes:
        """Return the JSON bytes that travel."""
        return self.model_dump_json(exclude_none=True).encode()

    def citation(self) -> Citation:
        """Return how another event names this one as evidence.

        For a received event the digest covers the bytes as they came, fields that this release does not know included.
        """
        said = self._received or self.model_dump(mode="json", exclude_none=True)
        return Citation(event_id=self.id, digest=data_digest(said))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read an envelope; raises Unreadable naming the fields at fault."""
        return cls.from_parsed(content, parse_json(content))

    @classmethod
    def from_parsed(cls, content: bytes, parsed: dict[str, Any]) -> Self:
        """Read an envelope whose bytes `parse_json` has read before; raises Unreadable as `from_bytes` does."""
        try:
            # Strict: "5", 5.0 and true are no integers on the wire, or one number would have several canonical forms.
            envelope = cls.model_validate_json(content, strict=True)
            refuse_ambiguous({"type": parsed["type"], "data": parsed["data"]})
            envelope._received = parsed  # noqa: SLF001 - its own instance
        except ValidationError as error:
            raise Unreadable(explain_validation(error)) from None
        except NotCanonical as error:
            raise Unreadable(str(error)) from None
        return envelope


def data_digest(envelope: dict[str, Any]) -> str:
    """Return the digest that tells two events of one id apart: type and data, with texts sealed.

    Time, trace context and unknown attributes stay outside, since a redelivered cause gives them anew.
    """
    return digest_of({"type": envelope["type"], "data": sealed(envelope["data"])})


def parse_json(content: bytes) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, no duplicate keys, no NaN; raises Unreadable."""
    try:
        # Decoded here: json.loads would take UTF-16 and byte order marks as well.
        value = _DECODER.decode(content.decode())
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, an integer of thousands of digits
        raise Unreadable(f"not JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise Unreadable("not a JSON object")
    return value


def _once_each(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"{twice[:80]}: named twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise Unreadable(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_no_constant)
