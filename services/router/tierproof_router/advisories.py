"""What the broker says about messages that nobody could handle. Pure."""

import json
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError
from tierproof_bus import Raw
from tierproof_contracts import topology
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.envelope import Citation
from tierproof_contracts.errors import ContractError
from tierproof_contracts.ids import TaskId, tenant_of
from tierproof_contracts.inference import InferenceRequestedV1
from tierproof_contracts.subjects import every
from tierproof_contracts.task import Failed, TaskDecidedV1, TaskSubmittedV1
from tierproof_contracts.verification import VerificationRequestedV1

_SUBMISSIONS = every(TaskSubmittedV1.event_type).removesuffix(">")
_ANSWERED = (TaskSubmittedV1, InferenceRequestedV1, VerificationRequestedV1)
# Never the router's own durable of advisories: to answer what is said of that with what is said of that would never end.
_HANDLERS = frozenset(
    consumer.durable
    for consumer in topology.CONSUMERS
    if consumer.service != "evidence-ledger"
    and any(pattern.startswith(every(event.event_type)[:-1]) for event in _ANSWERED for pattern in consumer.filters)
)
_TASK_ID = TypeAdapter(TaskId)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """The message that an advisory speaks of."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostSubmission:
    """A submission that the router could not handle, and the task that its subject names."""

    task_id: str
    tenant: str
    code: Literal["unreadable", "internal"]
    why: str
    cites: tuple[Citation, ...]


def read(content: bytes) -> Advisory | None:
    """Read an advisory of JetStream (io.nats.jetstream.advisory.v1.max_deliver or .terminated).

    None when it is neither, or speaks of a consumer that handles neither submissions nor requests.
    """
    try:
        said = json.loads(content)
        consumer, advisory = said["consumer"], Advisory(stream=str(said["stream"]), sequence=int(said["stream_seq"]))
    except (ValueError, KeyError, TypeError):
        return None
    return advisory if consumer in _HANDLERS else None


def unreadable_submission(message: Raw) -> LostSubmission | None:
    """Return the task of a submission that ended in a dead letter; None for other messages and for subjects without a task id."""
    if not message.subject.startswith(_SUBMISSIONS):
        return None
    tenant, _, task_id = message.subject.removeprefix(_SUBMISSIONS).partition(".")
    if not _is_task_of(tenant, task_id):
        return None
    try:
        event = read_event(message.content)
    except ContractError as error:
        return LostSubmission(task_id=task_id, tenant=tenant, code="unreadable", why=error.diagnosis()[:500], cites=())
    why = "the router could not handle the submission; its dead letter names the reason"
    return LostSubmission(task_id=task_id, tenant=tenant, code="internal", why=why, cites=(event.citation(),))


def _is_task_of(tenant: str, name: str) -> bool:
    try:
        return tenant_of(_TASK_ID.validate_python(name)) == tenant
    except ValidationError:
        return False


def decision(lost: LostSubmission) -> TaskDecidedV1:
    """Propose that a task whose submission was lost has failed."""
    return TaskDecidedV1(
        task_id=lost.task_id,
        tenant=lost.tenant,
        outcome=Failed(code=lost.code, detail=lost.why),
        because=lost.why,
        cites=lost.cites,
    )
