"""The steps that a task can take next."""

from dataclasses import dataclass
from typing import Literal

from tierproof_contracts.slip import Tier, Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask a tier for an answer."""

    tier: Tier
    why: Why
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """Propose the answer at this index for release."""

    answer_index: int
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPerson:
    """Wait for a person's word on the answer at this index."""

    answer_index: int
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstain:
    """Decline to answer."""

    code: Literal["unknown-kind", "out-of-domain", "exhausted", "over-budget", "too-large", "deadline"]
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """End the task for a reason outside the answer."""

    code: Literal["no-worker", "inference", "verification"]
    rule: str


Step = Ask | Accept | AskPerson | Abstain | Fail
