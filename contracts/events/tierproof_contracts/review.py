"""Review: an answer waits for a person, who confirms or rejects it with a signature."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.envelope import Event
from tierproof_contracts.ids import Commitment, EventId, Instant, Kind, Name, TaskId, Tenant
from tierproof_contracts.slip import SafetyClass, Slip, Tier
from tierproof_contracts.text import Text
from tierproof_contracts.verification import CheckReport


class ReviewRequestedV1(Event):
    """A verified answer waits for a person."""

    event_type: ClassVar[str] = "review.requested.v1"

    task_id: TaskId
    tenant: Tenant
    kind: Kind
    safety_class: SafetyClass
    because: str = Field(max_length=500)
    prompt: Text
    answer: Text
    tier: Tier
    checks: tuple[CheckReport, ...]
    deadline: Instant
    slip: Slip

    def subject(self) -> str:
        """Return the task's review subject."""
        return subjects.review_requested(self.tenant, self.task_id)


class ReviewDecidedV1(Event):
    """A person's signed word on a waiting answer.

    `signature` is Ed25519 over `signed_bytes()`, base64. It names the review request and the answer, so it fits no other record
    (21 CFR 11.70), and carries printed name, time and meaning (11.50).
    """

    event_type: ClassVar[str] = "review.decided.v1"

    task_id: TaskId
    tenant: Tenant
    review_request: EventId
    answer: Commitment
    verdict: Literal["confirm", "reject"]
    meaning: Literal["review", "approval"]
    reason: str = Field(min_length=1, max_length=500)
    signer: Name
    printed_name: str = Field(min_length=1, max_length=100)
    signed_at: Instant
    signature: str = Field(pattern=r"^[A-Za-z0-9+/]{86}==$")

    def signed_bytes(self) -> bytes:
        """Return what the signature covers: every field but itself, under a name of its own."""
        return review_statement(self.model_dump(mode="json", exclude={"signature"}))

    def subject(self) -> str:
        """Return the task's review decision subject."""
        return subjects.review_decided(self.tenant, self.task_id)


class ReviewExpiredV1(Event):
    """A timer set by the router has run out: nobody decided in time."""

    event_type: ClassVar[str] = "review.expired.v1"

    task_id: TaskId
    tenant: Tenant
    review_request: EventId
    deadline: Instant

    def subject(self) -> str:
        """Return where the broker delivers the timer."""
        return subjects.review_expired(self.task_id)


def review_statement(fields: dict[str, Any]) -> bytes:
    """Return the bytes that a reviewer signs, separated by name from everything else that the key may sign."""
    return canonical_json({"statement": "tierproof review v1", **fields})
