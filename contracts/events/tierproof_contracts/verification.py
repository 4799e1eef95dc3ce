"""Verification: deterministic checks of answers, asked for by the router, settled once by a verifier."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.envelope import Citation, Event, Part
from tierproof_contracts.ids import InputName, Instant, Kind, RequestId, TaskId, Tenant
from tierproof_contracts.slip import Slip
from tierproof_contracts.text import Text


class Candidate(Part):
    """An answer to check."""

    text: Text
    finish_reason: Literal["stop", "length"]


class VerificationRequestedV1(Event):
    """The router asks for a verdict on the answers of one inference, in their order."""

    event_type: ClassVar[str] = "verification.requested.v1"

    request_id: RequestId
    task_id: TaskId
    tenant: Tenant
    kind: Kind
    candidates: tuple[Candidate, ...] = Field(min_length=1, max_length=64)
    inputs: dict[InputName, Text]
    inference: Citation
    deadline: Instant
    slip: Slip

    def subject(self) -> str:
        """Return the kind's verification subject."""
        return subjects.verification_requested(self.kind, self.request_id)


class Finding(Part):
    """One thing that is wrong: a code, where, and a sentence made of checker facts, never of the answer's or the tests' text."""

    code: str = Field(pattern=r"^[a-z][a-z0-9-]{0,47}$")
    where: str = Field(max_length=120)
    note: str = Field(max_length=300)


class CheckReport(Part):
    """One check that ran, and whether it passed."""

    check: str = Field(pattern=r"^[a-z][a-z0-9-]{0,47}$")
    passed: bool


class Passed(Part):
    """The first answer that passed every check of its kind."""

    status: Literal["passed"] = "passed"
    answer_index: int = Field(ge=0)
    checks: tuple[CheckReport, ...] = Field(min_length=1)


class NotPassed(Part):
    """No answer passed: findings per answer, in order; `nearest` is the index of the one with the fewest."""

    status: Literal["failed"] = "failed"
    findings: tuple[tuple[Finding, ...], ...] = Field(min_length=1)
    nearest: int = Field(ge=0)


class Unverifiable(Part):
    """The checks cannot run: an input is missing or wrong, or the sandbox is not to be had. Never a pass."""

    status: Literal["unverifiable"] = "unverifiable"
    reason: str = Field(max_length=500)


Verdict = Annotated[Passed | NotPassed | Unverifiable, Field(discriminator="status")]


class VerificationSettledV1(Event):
    """A verification request's one settlement."""

    event_type: ClassVar[str] = "verification.settled.v1"

    request_id: RequestId
    task_id: TaskId
    tenant: Tenant
    kind: Kind
    verdict: Verdict
    verifier: str = Field(max_length=64, description="name and version of the checks")
    checking_ms: int = Field(ge=0)

    def subject(self) -> str:
        """Return the request's settlement subject."""
        return subjects.verification_settled(self.kind, self.request_id)
