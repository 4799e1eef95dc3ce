"""The slip: what the router must know of a task to take its next step.

It lies in the router's own last request event, so nobody but the router can alter it. It holds no texts: the submission is read
back from the stream by its subject.
"""

from typing import Literal

from pydantic import Field

from tierproof_contracts.envelope import Citation, Part
from tierproof_contracts.ids import Digest, Instant, Kind, RequestId, TaskId, Tenant
from tierproof_contracts.triage import TriageReading

Tier = Literal["s", "m", "l", "v", "e"]
SafetyClass = Literal["A", "B", "C"]
Why = Literal["first", "repair", "resample", "escalation", "retry"]


class Attempt(Part):
    """One inference that was asked for, and why this tier."""

    number: int = Field(ge=1)
    tier: Tier
    adapter: str | None = None
    why: Why
    rule: str = Field(max_length=200)
    request_id: RequestId
    max_tokens: int = Field(ge=1)
    samples: int = Field(ge=1)


class Slip(Part):
    """A task's class, pinned documents, budget spent and evidence so far.

    `triaged` counts how often a task without a kind was put to the triage model, `reading` is what it read.
    """

    task_id: TaskId
    tenant: Tenant
    kind: Kind
    safety_class: SafetyClass
    policy: Digest
    fleet: Digest
    reviewers: Digest
    accepted_at: Instant
    deadline: Instant
    attempts: tuple[Attempt, ...] = ()
    repairs: int = Field(default=0, ge=0)
    escalations: int = Field(default=0, ge=0)
    tokens_spent: int = Field(default=0, ge=0)
    triaged: int | None = Field(default=None, ge=1)
    reading: TriageReading | None = None
    cites: tuple[Citation, ...] = ()
