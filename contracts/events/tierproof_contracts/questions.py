"""Questions to the evidence ledger over request and reply, and their answers. JSON; each answer is `Answered` data or `Refused`."""

from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tierproof_contracts.ids import EventId, Instant, Kind, TaskId, Tenant
from tierproof_contracts.slip import SafetyClass

State = Literal["answered", "abstained", "failed", "waiting", "open"]


class Shape(BaseModel):
    """A part of a question or an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Question(Shape):
    """A question; `name` is the last token of its subject."""

    name: ClassVar[str]


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
    index: int | None = Field(default=None, ge=0)


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


class SearchAsked(Question):
    """Entries that fit all given conditions, by position; `after` is the last index seen."""

    name: ClassVar[str] = "search"
    event_type: str | None = None
    actor: str | None = None
    task_id: TaskId | None = None
    tenant: Tenant | None = None
    safety_class: SafetyClass | None = None
    since: Instant | None = None
    until: Instant | None = None
    after: int | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class Entries(Shape):
    """A page of entries."""

    entries: tuple[StoryEvent, ...]


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
