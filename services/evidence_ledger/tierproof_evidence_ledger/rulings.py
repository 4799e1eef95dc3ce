"""Which outcomes go out with a batch: decisions in it, waiting ones that it completes, and tasks whose time is over."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, assert_never

import structlog
from tierproof_contracts.review import ReviewDecidedV1
from tierproof_contracts.task import TaskDecidedV1

from tierproof_evidence_ledger.decide import (
    AlreadyReleased,
    Evidence,
    Recorded,
    Release,
    ReleaseAsFailure,
    Ruling,
    Wait,
    decide,
)
from tierproof_evidence_ledger.desk import Desk, OpenTask
from tierproof_evidence_ledger.release import failed_outcome, released_outcome

_log = structlog.get_logger()


class Records(Protocol):
    """What rulings read of the ledger."""

    async def events(self, event_ids: Iterable[str]) -> dict[str, Recorded]:
        """Return recorded events by id."""

    async def outcomes_of(self, task_ids: list[str]) -> set[str]:
        """Return those of the tasks that have their outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRelease:
    """An outcome that goes out; `review` is the confirming decision's data, as it was signed."""

    task: OpenTask
    outcome: dict[str, Any]
    because: str
    review: dict[str, Any] | None = None


async def planned_releases(
    desk: Desk, records: Records, fresh: Mapping[str, Recorded], arrived: AbstractSet[str]
) -> list[PlannedRelease]:
    """Return what goes out, and take it off the desk. `fresh` are the batch's events, `arrived` what decisions may have missed."""
    tasks = _with_new_decision(desk, fresh) | {task.task_id: task for task in desk.waiting_for(arrived)}
    events = await _evidence(records, fresh, tasks.values())
    planned = []
    for task in tasks.values():
        match ruling := _ruling(desk, task, events):
            case Wait(missing=missing):
                desk.wait(task, missing)
                _log.info("decision.waits", task_id=task.task_id, missing=sorted(missing)[:5])
            case AlreadyReleased() | ReleaseAsFailure() | Release():
                desk.forget(task.task_id)
                planned += _planned(task, ruling)
            case _:
                assert_never(ruling)
    return planned


def given_up(desk: Desk, now: datetime) -> list[PlannedRelease]:
    """Return the failures of tasks whose time is over, and take them off the desk."""
    overdue = desk.overdue(now)
    for task in overdue:
        desk.forget(task.task_id)
    return [_given_up(task) for task in overdue]


async def take_off_settled(desk: Desk, records: Records, spoken_of: AbstractSet[str]) -> None:
    """Forget tasks that a batch speaks of and that have their outcome: a late word must not open them again."""
    for task_id in await records.outcomes_of(sorted(spoken_of & desk.tasks.keys())):
        desk.forget(task_id)


def _with_new_decision(desk: Desk, fresh: Mapping[str, Recorded]) -> dict[str, OpenTask]:
    decided = {event.data["task_id"] for event in fresh.values() if event.event_type == "task.decided.v1"}
    return {task_id: desk.tasks[task_id] for task_id in sorted(decided & desk.tasks.keys())}


async def _evidence(records: Records, fresh: Mapping[str, Recorded], tasks: Iterable[OpenTask]) -> dict[str, Recorded]:
    """Return cited events, and the requests behind cited verdicts and reviews."""
    cited = {cite["event_id"] for task in tasks if task.decision for cite in task.decision["data"]["cites"]}
    events = await _find(records, fresh, cited)
    verdicts = (event for event in events.values() if event.event_type == "verification.settled.v1")
    reviews = (event for event in events.values() if event.event_type == "review.decided.v1")
    behind = {event.cause for event in verdicts if event.cause} | {event.data["review_request"] for event in reviews}
    return events | await _find(records, fresh, behind - events.keys())


async def _find(records: Records, fresh: Mapping[str, Recorded], event_ids: set[str]) -> dict[str, Recorded]:
    here = {event_id: fresh[event_id] for event_id in event_ids & fresh.keys()}
    return here | await records.events(event_ids - here.keys())


def _ruling(desk: Desk, task: OpenTask, events: Mapping[str, Recorded]) -> Ruling:
    if task.decision is None:
        raise AssertionError("only tasks with a decision are ruled on")
    evidence = Evidence(
        events=events,
        submission=task.submission,
        acceptance=task.acceptance,
        reviewers=desk.reviewers,
        revoked=desk.revoked,
    )
    return decide(TaskDecidedV1.model_validate(task.decision["data"]), evidence)


def _planned(task: OpenTask, ruling: AlreadyReleased | ReleaseAsFailure | Release) -> list[PlannedRelease]:
    match ruling:
        case AlreadyReleased():
            return []
        case ReleaseAsFailure(reason=reason):
            _log.warning("decision.refused", task_id=task.task_id, reason=reason)
            return [PlannedRelease(task=task, outcome=failed_outcome(ruling), because=reason)]
        case Release(review=review):
            decision = TaskDecidedV1.model_validate((task.decision or {})["data"])
            signed = None if review is None else ReviewDecidedV1.model_validate(review.data).model_dump(mode="json")
            outcome = released_outcome(decision)
            return [PlannedRelease(task=task, outcome=outcome, because=decision.because, review=signed)]


def _given_up(task: OpenTask) -> PlannedRelease:
    """Return the failure of a task whose time is over."""
    waits = f"; its decision waits for {', '.join(sorted(task.missing)[:3])}" if task.missing else ""
    code = "undecided" if task.first else "unreadable"
    ruling = ReleaseAsFailure(code=code, reason=f"deadline and grace have passed without an outcome{waits}")
    _log.warning("task.swept", task_id=task.task_id, code=code)
    return PlannedRelease(task=task, outcome=failed_outcome(ruling), because=ruling.reason)
