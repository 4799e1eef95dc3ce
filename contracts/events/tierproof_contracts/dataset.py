"""Data sets: asked for by name, published once per content, or rejected with the reason."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from tierproof_contracts import subjects
from tierproof_contracts.documents import DsseEnvelope
from tierproof_contracts.envelope import Event
from tierproof_contracts.ids import Digest, Name, RequestId

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class DatasetRequestedV1(Event):
    """Someone asks for a snapshot of records that lie in the curator's inbox, free of the sealed sets that are named."""

    event_type: ClassVar[str] = "dataset.requested.v1"

    request_id: RequestId
    records: FileName = Field(description="a file in the curator's inbox")
    sealed: tuple[Digest, ...] = Field(min_length=1, description="examinations that it must not overlap")
    requested_by: Name

    def subject(self) -> str:
        """Return the request's subject."""
        return subjects.dataset_requested(self.request_id)


class DatasetPublishedV1(Event):
    """A snapshot stands: its uid is the Merkle root of its records, its statement is signed."""

    event_type: ClassVar[str] = "dataset.published.v1"

    request_id: RequestId
    uid: Digest
    records: int = Field(ge=1)
    labels: dict[str, int]
    clean_of: tuple[Digest, ...]
    statement: Digest = Field(description="sha256 of the statement's bytes")
    envelope: DsseEnvelope

    def subject(self) -> str:
        """Return the request's outcome subject."""
        return subjects.dataset_published(self.request_id)


class DatasetRejectedV1(Event):
    """A snapshot was not built. Records are named by id, never by content."""

    event_type: ClassVar[str] = "dataset.rejected.v1"

    request_id: RequestId
    code: Literal["bad-record", "contaminated", "unknown-sealed-set", "unknown-file", "cannot-build"]
    because: str = Field(min_length=1, max_length=2000)
    overlapping: tuple[str, ...] = Field(
        default=(), max_length=200, description="ids of offending records, the first 200"
    )

    def subject(self) -> str:
        """Return the request's rejection subject."""
        return subjects.dataset_rejected(self.request_id)
