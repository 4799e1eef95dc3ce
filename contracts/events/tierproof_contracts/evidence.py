"""Evidence: what the ledger says of itself."""

from typing import ClassVar

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.envelope import Event


class EvidenceCheckpointedV1(Event):
    """The log's signed checkpoint at a size (C2SP tlog-checkpoint, as a signed note)."""

    event_type: ClassVar[str] = "evidence.checkpointed.v1"

    log: str = Field(max_length=200)
    size: int = Field(ge=1)
    note: str = Field(max_length=20_000)

    def subject(self) -> str:
        """Return the checkpoint's subject."""
        return subjects.evidence_checkpointed(self.size)
