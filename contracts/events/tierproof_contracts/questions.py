"""Questions to the evidence ledger over request and reply, and their answers. JSON; each answer is `Answered` data or `Refused`.

Every question but `proof` is recorded in the log before it is answered: who asked, what, and the reason given. Histories and
exports stand in `audit`.
"""

from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tierproof_contracts.ids import Digest, EventId, Instant, Kind, TaskId, Tenant
from tierproof_contracts.slip import SafetyClass

State = Literal["answered", "abstained", "failed", "waiting", "open"]
EntryKind = Literal["event", "conflict", "rejected", "advisory", "release", "act"]
# What a person may type: any script, no control characters, so that it can be stored and shown.
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Index = Annotated[int, Field(ge=0, le=2**53 - 1)]
# The ledger as it was at an instant, or when it had so many entries.
AsOf = Instant | Index


class Shape(BaseModel):
    """A part of a question or an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Question(Shape):
    """A question; `name` is the last token of its subject. A member that the ledger does not know is refused: it might be a filter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    reason: Words | None = Field(default=None, description="why it is asked; recorded with the question")


class Refused(Shape):
    """Why there is no answer, and what mends the question."""

    code: Literal["not-found", "bad-question", "not-yet", "unavailable"]
    message: str = Field(max_length=500)


AnswerT = TypeVar("AnswerT", bound=Shape)


class Reply(Shape, Generic[AnswerT]):
    """Exactly one of the two is present."""

    answer: AnswerT | None = None
    refused: Refused | None = None


class StoryAsked(Question):
    """Every event of a task, in the ledger's order."""

    name: ClassVar[str] = "story"
    task_id: TaskId
    as_of: AsOf | None = None


class StoryEvent(Shape):
    """An event of a task: `data` with its texts sealed."""

    index: int
    kind: str
    event_id: str | None = None
    type: str | None = None
    source: str | None = None
    causation_id: str | None = None
    time: str | None = None
    recorded_at: str
    stream: str | None = None
    stream_seq: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Story(Shape):
    """A task's life."""

    task_id: TaskId
    state: State
    events: tuple[StoryEvent, ...]


class ProofAsked(Question):
    """The `.tlog-proof` of a task's release, or of the entry at an index."""

    name: ClassVar[str] = "proof"
    task_id: TaskId | None = None
    index: Index | None = None


class Proof(Shape):
    """An entry's canonical bytes (base64) with its inclusion proof (c2sp.org/tlog-proof@v1)."""

    index: int
    entry: str
    proof: str


class TasksAsked(Question):
    """Tasks, newest first; `before` is the `index` of the last one seen."""

    name: ClassVar[str] = "tasks"
    tenant: Tenant | None = None
    kind: Kind | None = None
    state: State | None = None
    before: int | None = None
    limit: int = Field(default=50, ge=1, le=500)


class TaskLine(Shape):
    """One task; `index` is the position of its submission."""

    index: int
    task_id: str
    tenant: str | None = None
    kind: str | None = None
    safety_class: str | None = None
    submitted_at: str
    state: State
    detail: str = ""


class Tasks(Shape):
    """A page of tasks."""

    tasks: tuple[TaskLine, ...]


class ReviewsAsked(Question):
    """Answers that wait for a person."""

    name: ClassVar[str] = "reviews"
    task_id: TaskId | None = None
    limit: int = Field(default=50, ge=1, le=500)


class OpenReview(Shape):
    """One answer that waits. Its texts lie in the review request, which reviewers may read in the REVIEW stream."""

    task_id: TaskId
    tenant: Tenant
    kind: Kind
    safety_class: SafetyClass
    because: str
    tier: str
    deadline: Instant
    review_request: EventId
    answer_commitment: str
    checks: tuple[str, ...] = ()


class Reviews(Shape):
    """The queue, oldest first."""

    reviews: tuple[OpenReview, ...]


class Filtered(Question):
    """Conditions on entries; those that are given must all hold. Times are when an entry was recorded: since <= time < until."""

    event_type: Words | None = None
    kind: EntryKind | None = None
    actor: Words | None = None
    task_id: TaskId | None = None
    model: Digest | None = Field(default=None, description="weights, tokenizer, engine, adapter, or a document")
    tenant: Tenant | None = None
    safety_class: SafetyClass | None = None
    since: Instant | None = None
    until: Instant | None = None
    as_of: AsOf | None = None

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if self.since and self.until and _padded(self.since) >= _padded(self.until):
            raise ValueError("since: must be before until")
        return self

    def filters(self) -> dict[str, str]:
        """Return the conditions that are given, by name; empty for the whole log."""
        return self.model_dump(include=FILTERS, exclude_none=True)


FILTERS = {"event_type", "kind", "actor", "task_id", "model", "tenant", "safety_class", "since", "until"}


def _padded(instant: str) -> str:
    whole, _, fraction = instant.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


class SearchAsked(Filtered):
    """Entries that fit; oldest first, or newest first. `after` is the last index seen, in either direction."""

    name: ClassVar[str] = "search"
    after: Index | None = None
    newest_first: bool = False
    limit: int = Field(default=100, ge=1, le=1000)


class Entries(Shape):
    """A page of entries of the ledger when it had `size` entries; `more` follow after the last one."""

    entries: tuple[StoryEvent, ...]
    size: int
    more: bool = False


class DeadAsked(Question):
    """Dead letters, newest first."""

    name: ClassVar[str] = "dead"
    limit: int = Field(default=50, ge=1, le=500)


class DeadLetter(Shape):
    """One message that a service gave up; `index` is its position in the ledger."""

    index: int
    service: str
    reason: str
    detail: str
    attempts: int
    stream: str
    sequence: int
    subject: str
    recorded_at: str


class DeadLetters(Shape):
    """A page of dead letters."""

    letters: tuple[DeadLetter, ...]


class VerifyAsked(Question):
    """Recompute everything."""

    name: ClassVar[str] = "verify"


class Problem(Shape):
    """What is wrong, and at which entry; None when it concerns the whole log."""

    index: int | None = None
    what: str


class VerifyReport(Shape):
    """The result of a deep verification."""

    entries: int
    root: str
    checkpoints: int
    seconds_milli: int
    problems: tuple[Problem, ...]
