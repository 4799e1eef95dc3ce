"""Every event of the published language, by type."""

from functools import cache
from typing import Any, cast

from tierproof_contracts.dataset import DatasetPublishedV1, DatasetRejectedV1, DatasetRequestedV1
from tierproof_contracts.documents import ModelRevokedV1, PolicyPublishedV1
from tierproof_contracts.envelope import Envelope, Event, parse_json
from tierproof_contracts.errors import UnknownEvent, Unreadable
from tierproof_contracts.evidence import EvidenceCheckpointedV1
from tierproof_contracts.incident import DeadLetteredV1, PublicationRefusedV1
from tierproof_contracts.inference import InferenceRequestedV1, InferenceSettledV1
from tierproof_contracts.result import ResultReleasedV1
from tierproof_contracts.review import ReviewDecidedV1, ReviewExpiredV1, ReviewRequestedV1
from tierproof_contracts.task import TaskAcceptedV1, TaskDecidedV1, TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.training import TrainingCompletedV1, TrainingFailedV1, TrainingRequestedV1
from tierproof_contracts.verification import VerificationRequestedV1, VerificationSettledV1

EVENTS: dict[str, type[Event]] = {
    event.event_type: event
    for event in (
        TaskSubmittedV1,
        TaskAcceptedV1,
        TaskExpiredV1,
        TaskDecidedV1,
        InferenceRequestedV1,
        InferenceSettledV1,
        VerificationRequestedV1,
        VerificationSettledV1,
        ReviewRequestedV1,
        ReviewDecidedV1,
        ReviewExpiredV1,
        ResultReleasedV1,
        EvidenceCheckpointedV1,
        PolicyPublishedV1,
        ModelRevokedV1,
        DatasetRequestedV1,
        DatasetPublishedV1,
        DatasetRejectedV1,
        TrainingRequestedV1,
        TrainingCompletedV1,
        TrainingFailedV1,
        DeadLetteredV1,
        PublicationRefusedV1,
    )
}


@cache
def envelope_of(event: type[Event]) -> type[Envelope[Any]]:
    """Return the envelope type that carries an event. Kept here: pydantic would make it anew once nobody holds it."""
    return cast("type[Envelope[Any]]", Envelope.__class_getitem__(event))


def schema_name(event_type: str) -> str:
    """Return the value of `dataschema`: the name of the committed schema file."""
    return f"{event_type}.json"


def read_event(content: bytes) -> Envelope[Any]:
    """Read an event of any known type; raises Unreadable or UnknownEvent (a version of the future, for one)."""
    parsed = parse_json(content)
    event_type = parsed.get("type")
    if not isinstance(event_type, str):
        raise Unreadable("type: missing")
    if event_type not in EVENTS:
        raise UnknownEvent(
            f"type: {event_type[:80]!r} is not known to this release; upgrade it, or send a known version"
        )
    return envelope_of(EVENTS[event_type]).from_parsed(content, parsed)
