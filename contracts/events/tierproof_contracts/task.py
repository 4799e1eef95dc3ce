"""Tasks: asked for, accepted, out of time, decided."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.envelope import Citation, Event, Part
from tierproof_contracts.ids import UNDECLARED, Digest, EventId, InputName, Instant, Kind, Name, TaskId, Tenant
from tierproof_contracts.slip import SafetyClass, Slip, Tier
from tierproof_contracts.text import Text, TextRef


class TaskSubmittedV1(Event):
    """A producer asks for an answer.

    `inputs` are named texts that the checks of the kind need (schema, requirements, reference, ...). `time_allowed_ms` counts
    from the moment the broker stored the submission; policy bounds it and fills it in when it is missing. Without a `kind` the triage
    model reads one from the prompt.
    """

    event_type: ClassVar[str] = "task.submitted.v1"

    tenant: Tenant
    task_id: TaskId
    kind: Kind = UNDECLARED
    safety_class: SafetyClass
    prompt: Text
    inputs: dict[InputName, Text] = Field(default_factory=dict, max_length=16)
    time_allowed_ms: int | None = Field(default=None, ge=100, le=7 * 24 * 3600 * 1000)
    actor: Name
    redrives: TaskId | None = None

    def subject(self) -> str:
        """Return the tenant's own submit subject."""
        return subjects.task_submitted(self.tenant, self.task_id)


class TaskAcceptedV1(Event):
    """The router's first word on a task: it pins the documents and the deadline that hold from now on."""

    event_type: ClassVar[str] = "task.accepted.v1"

    task_id: TaskId
    tenant: Tenant
    kind: Kind
    safety_class: SafetyClass
    submission: Citation
    policy: Digest
    fleet: Digest
    reviewers: Digest
    accepted_at: Instant
    deadline: Instant

    def subject(self) -> str:
        """Return the task's acceptance subject."""
        return subjects.task_accepted(self.task_id)


class TaskExpiredV1(Event):
    """A timer set by the router has run out: the task's deadline."""

    event_type: ClassVar[str] = "task.expired.v1"

    task_id: TaskId
    tenant: Tenant
    deadline: Instant

    def subject(self) -> str:
        """Return where the broker delivers the timer."""
        return subjects.task_expired(self.task_id)


class Accepted(Part):
    """An answer that passed its checks, and a person where one is needed. The lane says how far the claim goes."""

    status: Literal["accepted"] = "accepted"
    lane: Literal["verified"] = "verified"
    answer: TextRef
    tier: Tier
    confirmed_by: EventId | None = None


class Abstained(Part):
    """The system declines to answer."""

    status: Literal["abstained"] = "abstained"
    code: Literal[
        "unknown-kind",
        "out-of-domain",
        "exhausted",
        "over-budget",
        "deadline",
        "review-rejected",
        "review-deadline",
        "no-evidence",
        "too-large",
    ]
    detail: str = Field(max_length=500)


class Failed(Part):
    """The task cannot be answered, for a reason that lies outside the answer."""

    status: Literal["failed"] = "failed"
    code: Literal[
        "unreadable",
        "deadline",
        "no-worker",
        "inference",
        "verification",
        "undecided",
        "revoked",
        "bad-review",
        "internal",
    ]
    detail: str = Field(max_length=500)


Outcome = Annotated[Accepted | Abstained | Failed, Field(discriminator="status")]


class TaskDecidedV1(Event):
    """The router proposes a task's one outcome, citing its evidence. The ledger releases it, or not."""

    event_type: ClassVar[str] = "task.decided.v1"

    task_id: TaskId
    tenant: Tenant
    kind: Kind | None = None
    safety_class: SafetyClass | None = None
    outcome: Outcome
    because: str = Field(max_length=500)
    cites: tuple[Citation, ...]
    review: EventId | None = None
    slip: Slip | None = None

    def subject(self) -> str:
        """Return the one subject on which all outcomes of a task exclude each other."""
        return subjects.task_decided(self.task_id)
