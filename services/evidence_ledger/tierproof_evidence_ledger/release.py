"""The released result: what is said of a task's one outcome, texts sealed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_bus.publish import id_of_subject
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import schema_name
from tierproof_contracts.ids import event_id_of
from tierproof_contracts.task import Accepted, TaskDecidedV1

from tierproof_evidence_ledger.canonical import digest_of_said
from tierproof_evidence_ledger.decide import ReleaseAsFailure
from tierproof_evidence_ledger.desk import OpenTask

RELEASED = "result.released.v1"
SOURCE = "evidence-ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the release stands: log name, entry index, and the size of the checkpoint that first covers it."""

    log: str
    index: int
    size: int


def released_outcome(decision: TaskDecidedV1) -> dict[str, Any]:
    """Return the outcome as consumers read it; the answer stays sealed."""
    outcome = decision.outcome.model_dump(mode="json", exclude_none=True)
    return outcome | {"status": "answered"} if isinstance(decision.outcome, Accepted) else outcome


def failed_outcome(ruling: ReleaseAsFailure) -> dict[str, Any]:
    """Return a failure as consumers read it."""
    return {"status": "failed", "code": ruling.code, "detail": ruling.reason[:500]}


def released_event(task: OpenTask, outcome: dict[str, Any], because: str, at: Position, now: str) -> dict[str, Any]:
    """Return the sealed envelope of a task's release. Its id follows from the decision, or from what began the task."""
    cause = task.decision or task.first
    subject = subjects.result_released(task.tenant, task.task_id)
    known = task.acceptance.data if task.acceptance else (task.decision or task.first or {}).get("data", {})
    data: dict[str, Any] = {
        "task_id": task.task_id,
        "tenant": task.tenant,
        **{name: known[name] for name in ("kind", "safety_class") if known.get(name) is not None},
        "outcome": outcome,
        "because": because[:500],
        "ledger": {"log": at.log, "index": at.index, "size": at.size},
    }
    if task.decision:
        digest = digest_of_said(task.decision["type"], task.decision["data"])
        data["decision"] = {"event_id": task.decision["id"], "digest": digest}
    return {
        "specversion": "1.0",
        "id": event_id_of(cause["id"], RELEASED) if cause else id_of_subject(subject),
        "type": RELEASED,
        "source": SOURCE,
        "subject": task.task_id,
        "time": now,
        "datacontenttype": "application/json",
        "dataschema": schema_name(RELEASED),
        "correlationid": cause["correlationid"] if cause else task.task_id,
        **_links(cause),
        "data": data,
    }


def _links(cause: Mapping[str, Any] | None) -> dict[str, str]:
    if cause is None:
        return {}
    trace = cause.get("traceparent")
    return {"causationid": cause["id"]} | ({"traceparent": trace} if trace else {})
