"""Results: what consumers receive, once the evidence is committed."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.envelope import Citation, Event, Part
from tierproof_contracts.ids import EventId, Kind, TaskId, Tenant
from tierproof_contracts.slip import SafetyClass, Tier
from tierproof_contracts.task import Abstained, Failed
from tierproof_contracts.text import Text


class Answered(Part):
    """A released answer. `lane` says how far the claim goes: its deterministic checks passed."""

    status: Literal["answered"] = "answered"
    lane: Literal["verified"] = "verified"
    answer: Text
    tier: Tier
    confirmed_by: EventId | None = None


class LedgerPosition(Part):
    """Where the release stands in the log: `index` is the entry's, `size` the first checkpointed size that covers it."""

    log: str = Field(max_length=200)
    index: int = Field(ge=0)
    size: int = Field(ge=1)


class ResultReleasedV1(Event):
    """A task's one outcome, released by the ledger in the transaction that recorded it."""

    event_type: ClassVar[str] = "result.released.v1"

    task_id: TaskId
    tenant: Tenant
    kind: Kind | None = None
    safety_class: SafetyClass | None = None
    outcome: Annotated[Answered | Abstained | Failed, Field(discriminator="status")]
    because: str = Field(max_length=500)
    decision: Citation | None = None
    ledger: LedgerPosition

    def subject(self) -> str:
        """Return the tenant's own result subject."""
        return subjects.result_released(self.tenant, self.task_id)
