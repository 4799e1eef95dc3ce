"""Training: asked for by a lock, told as completed once per lock, or as failed once per attempt."""

from typing import ClassVar, Literal

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.documents import DsseEnvelope
from tierproof_contracts.envelope import Event, Part
from tierproof_contracts.ids import Decimal, Digest, Name
from tierproof_contracts.train_lock import ArtifactName, Stage, TrainLock


class TrainingRequestedV1(Event):
    """Someone asks for the training that a lock fixes. The same lock is trained once, however often it is asked for."""

    event_type: ClassVar[str] = "training.requested.v1"

    lock: TrainLock
    requested_by: Name

    def subject(self) -> str:
        """Return the lock's request subject: a second request of the same lock is the first."""
        return subjects.training_requested(self.lock.digest())


class LearningCost(Part):
    """What a training took. `tokens` are those of the records that were seen, chat template included."""

    steps: int = Field(ge=1)
    tokens: int | None = Field(default=None, ge=0)
    cpu_ms: int = Field(ge=0)
    wall_ms: int = Field(ge=0)
    peak_mib: int = Field(ge=0)
    resumed: int = Field(ge=0, description="how often the job was taken up again after its process had ended")


class TrainingCompletedV1(Event):
    """A lock's training has given its artifact: files by digest, signed SLSA provenance, first and last loss."""

    event_type: ClassVar[str] = "training.completed.v1"

    lock: Digest
    name: ArtifactName
    stage: Stage
    artifact: Digest = Field(description="sha256 of the weights file")
    files: dict[str, Digest] = Field(min_length=1)
    dataset: Digest
    parent: Digest = Field(description="the adapter it began from, or the base's source weights")
    first_loss: Decimal
    last_loss: Decimal
    cost: LearningCost
    provenance: DsseEnvelope

    def subject(self) -> str:
        """Return the lock's one completion subject."""
        return subjects.training_completed(self.lock)


FailureCode = Literal[
    "bad-lock", "unapproved-parent", "another-base", "no-statement", "bad-statement", "another-dataset", "contaminated", "label-refused",
    "another-environment", "not-a-number", "too-long", "no-records", "too-few-records", "stalled", "out-of-time", "out-of-memory",
    "disk-full", "crashed", "io", "not-reproduced",
]  # fmt: skip


class TrainingFailedV1(Event):
    """A training was refused or could not go on. Nothing was published; `again` tells whether the same lock may succeed later."""

    event_type: ClassVar[str] = "training.failed.v1"

    lock: Digest
    name: ArtifactName
    attempt: int = Field(ge=1)
    code: FailureCode
    because: str = Field(min_length=1, max_length=1000)
    mend: str = Field(min_length=1, max_length=500)
    again: bool

    def subject(self) -> str:
        """Return the attempt's subject."""
        return subjects.training_failed(self.lock, self.attempt)
