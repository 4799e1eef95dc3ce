"""What lies on the sequencer's desk: tasks without an outcome, decisions that wait, documents in force, revoked models.

It is learnt from entries alone, in their order: at start from the stored ones, afterwards from each new one.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from tierproof_bus.documents import opened
from tierproof_bus.errors import UntrustedDocument
from tierproof_contracts.documents import DsseEnvelope, Reviewers, RoutingPolicy
from tierproof_contracts.ids import tenant_of
from tierproof_proofs.keys import Verifier

from tierproof_evidence_ledger.decide import Recorded
from tierproof_evidence_ledger.store import recorded_in

_log = structlog.get_logger()
STEERING = ("policy.published.v1", "model.revoked.v1")
Entry = tuple[int, Mapping[str, Any]]
LONGEST_GRACE = timedelta(days=36_500)  # what a calendar can add to a deadline
TASK_EVENTS = ("task.submitted.v1", "task.accepted.v1", "review.requested.v1", "task.decided.v1")


@dataclass(slots=True, kw_only=True)
class OpenTask:
    """A task without an outcome, as far as it is known.

    `first_seq` is that of its first entry; deadlines are UTC; `rejected_at` when only unreadable bytes came.
    """

    task_id: str
    first_seq: int
    submission: Recorded | None = None
    acceptance: Recorded | None = None
    decision: Mapping[str, Any] | None = None
    first: Mapping[str, Any] | None = None
    deadline: datetime | None = None
    review_deadline: datetime | None = None
    rejected_at: datetime | None = None
    missing: frozenset[str] = frozenset()

    @property
    def tenant(self) -> str:
        """The tenant that owns the task."""
        return tenant_of(self.task_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a task may stay open: grace without a policy, and the time of a submission that names none."""

    grace: timedelta
    undated: timedelta


@dataclass(slots=True, kw_only=True)
class Desk:
    """The sequencer's knowledge. `signers` are the keys that may sign documents."""

    signers: Mapping[str, Verifier]
    patience: Patience
    tasks: dict[str, OpenTask] = field(default_factory=dict)
    reviewers: dict[str, Reviewers] = field(default_factory=dict)
    grace: dict[str, timedelta] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()
    waiting: dict[str, OpenTask] = field(default_factory=dict)

    def learn(self, seq: int, entry: Mapping[str, Any]) -> tuple[str, ...]:
        """Take in an entry and return the names under which waiting decisions may have missed it."""
        if entry["kind"] == "rejected":
            self._rejected(seq, entry)
            return ()
        event = entry["event"]
        learner = _LEARNERS.get(event["type"])
        known_as = learner(self, seq, entry) if learner else None
        return (event["id"], known_as) if known_as else (event["id"],)

    def open_from(self, size: int) -> int:
        """Return the first entry that concerns a task that is still open, `size` when none is."""
        first = next(iter(self.tasks.values()), None)  # they were met in the order of their entries
        return size if first is None else first.first_seq

    def forget(self, task_id: str) -> None:
        """Take a task with its outcome off the desk."""
        self.tasks.pop(task_id, None)
        self.waiting.pop(task_id, None)

    def wait(self, task: OpenTask, missing: frozenset[str]) -> None:
        """Keep a task's decision until one of the missing names arrives."""
        task.missing = missing
        self.waiting[task.task_id] = task

    def waiting_for(self, arrived: AbstractSet[str]) -> list[OpenTask]:
        """Return tasks whose decision waits for something that has arrived."""
        return [task for task in self.waiting.values() if not task.missing.isdisjoint(arrived)]

    def overdue(self, now: datetime) -> list[OpenTask]:
        """Return tasks whose deadline, or review deadline, and grace have passed."""
        return [task for task in self.tasks.values() if now > self.due(task)]

    def due(self, task: OpenTask) -> datetime:
        """Return when the sweep ends a task. An open review has its own deadline, which outlasts the task's."""
        policy = task.acceptance.data["policy"] if task.acceptance else ""
        grace = self.grace.get(policy, self.patience.grace)
        latest = max(filter(None, (task.deadline, task.review_deadline)), default=task.rejected_at)
        if latest is None:
            raise AssertionError("a task on the desk was submitted, accepted, reviewed, decided or rejected")
        return latest + grace if latest < datetime.max.replace(tzinfo=UTC) - grace else latest

    def _task(self, seq: int, entry: Mapping[str, Any]) -> OpenTask:
        task_id = entry["event"]["data"]["task_id"]
        task = self.tasks.setdefault(task_id, OpenTask(task_id=task_id, first_seq=seq))
        if task.first is None:
            task.first = entry["event"]
        if task.deadline is None:
            task.deadline = instant(entry["received_at"]) + self.patience.undated
        return task

    def _rejected(self, seq: int, entry: Mapping[str, Any]) -> None:
        if task_id := entry.get("task_id"):
            task = self.tasks.setdefault(task_id, OpenTask(task_id=task_id, first_seq=seq))
            task.rejected_at = instant(entry["received_at"])

    def _submitted(self, seq: int, entry: Mapping[str, Any]) -> str:
        task, event = self._task(seq, entry), entry["event"]
        task.submission = recorded_in(dict(entry))
        allowed = event["data"].get("time_allowed_ms")
        if allowed is not None and task.acceptance is None:
            task.deadline = instant(entry["received_at"]) + timedelta(milliseconds=allowed)
        return str(event["type"])

    def _accepted(self, seq: int, entry: Mapping[str, Any]) -> str:
        task, event = self._task(seq, entry), entry["event"]
        task.acceptance = recorded_in(dict(entry))
        task.deadline = _deadline(entry)
        return str(event["type"])

    def _reviewed(self, seq: int, entry: Mapping[str, Any]) -> None:
        self._task(seq, entry).review_deadline = _deadline(entry)

    def _decided(self, seq: int, entry: Mapping[str, Any]) -> None:
        self._task(seq, entry).decision = entry["event"]

    def _published(self, _seq: int, entry: Mapping[str, Any]) -> str | None:
        data = entry["event"]["data"]
        try:
            document = opened(DsseEnvelope.model_validate(data["envelope"]), data["name"], data["digest"], self.signers)
        except UntrustedDocument as error:
            _log.warning("document.untrusted", digest=data["digest"], reason=error.diagnosis())
            return None
        if isinstance(document, Reviewers):
            self.reviewers[data["digest"]] = document
        elif isinstance(document, RoutingPolicy):
            self.grace[data["digest"]] = min(timedelta(milliseconds=document.grace_ms), LONGEST_GRACE)
        return str(data["digest"])

    def _revoked(self, _seq: int, entry: Mapping[str, Any]) -> None:
        self.revoked |= {entry["event"]["data"]["digest"]}


_LEARNERS: dict[str, Callable[[Desk, int, Mapping[str, Any]], str | None]] = {
    "task.submitted.v1": Desk._submitted,  # noqa: SLF001 - this class's own table
    "task.accepted.v1": Desk._accepted,  # noqa: SLF001
    "review.requested.v1": Desk._reviewed,  # noqa: SLF001
    "task.decided.v1": Desk._decided,  # noqa: SLF001
    "policy.published.v1": Desk._published,  # noqa: SLF001
    "model.revoked.v1": Desk._revoked,  # noqa: SLF001
}


def instant(written: str) -> datetime:
    """Read an RFC 3339 UTC time; digits below a microsecond are cut."""
    return datetime.fromisoformat(written)


def _deadline(entry: Mapping[str, Any]) -> datetime:
    """Return an event's deadline; one that the calendar does not have is over at once."""
    try:
        return instant(entry["event"]["data"]["deadline"])
    except ValueError:
        return instant(entry["received_at"])


def laid_out(desk: Desk, steering: Iterable[Entry], tasks: Iterable[Entry]) -> Desk:
    """Return the desk after it has learnt stored entries, each with its seq."""
    for seq, entry in (*steering, *tasks):
        desk.learn(seq, entry)
    return desk
