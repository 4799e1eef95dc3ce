"""What happens to a proposed outcome: released, waiting for evidence, or released as a failure. Pure.

The router proposes; this file is what it must convince. Nothing here trusts what the decision says of itself: class, documents
and evidence are read from committed events of other hands.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_contracts.documents import Reviewers
from tierproof_contracts.ids import UNDECLARED
from tierproof_contracts.review import ReviewDecidedV1
from tierproof_contracts.task import Accepted, TaskDecidedV1
from tierproof_proofs.encoding import bytes_of_base64
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A committed event; `data` with texts sealed, `digest` as a citation names it, `cause` the event that caused it."""

    event_id: str
    event_type: str
    digest: str
    data: Mapping[str, Any]
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is committed: events by id, the task's submission and acceptance, verified reviewers by digest, revoked digests."""

    events: Mapping[str, Recorded]
    submission: Recorded | None
    acceptance: Recorded | None
    reviewers: Mapping[str, Reviewers]
    revoked: frozenset[str]
    already_released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The outcome may go out; `review` is the decision of the person who confirmed it."""

    review: Recorded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Evidence is missing: ids of events, names of event types, or digests of documents."""

    missing: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAsFailure:
    """The proposal can never be released; `code` is one of task.Failed."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlreadyReleased:
    """The task has its one outcome."""


Ruling = Release | Wait | ReleaseAsFailure | AlreadyReleased


def decide(decision: TaskDecidedV1, evidence: Evidence) -> Ruling:
    """Decide what happens to a proposed outcome."""
    if evidence.already_released:
        return AlreadyReleased()
    missing = frozenset(cite.event_id for cite in decision.cites if cite.event_id not in evidence.events)
    if missing:
        return Wait(missing=missing)
    for ruling in _citations(decision, evidence):
        return ruling
    if not isinstance(decision.outcome, Accepted):
        return Release()
    return _accepted(decision, decision.outcome, evidence)


def _citations(decision: TaskDecidedV1, evidence: Evidence) -> Iterator[Ruling]:
    """Yield what is wrong with the cited events."""
    for cite in decision.cites:
        cited = evidence.events[cite.event_id]
        if cited.digest != cite.digest:
            yield ReleaseAsFailure(
                code="internal", reason=f"cited event {cite.event_id} says something else than cited"
            )
        if cited.data.get("task_id", decision.task_id) != decision.task_id:
            yield ReleaseAsFailure(code="internal", reason=f"cited event {cite.event_id} is of another task")


def _accepted(decision: TaskDecidedV1, outcome: Accepted, evidence: Evidence) -> Ruling:
    if evidence.submission is None or evidence.acceptance is None:
        absent = {"task.submitted.v1": evidence.submission, "task.accepted.v1": evidence.acceptance}
        return Wait(missing=frozenset(name for name, event in absent.items() if event is None))
    for ruling in _origin(decision, evidence.submission, evidence.acceptance):
        return ruling
    for ruling in _machine_evidence(decision, outcome, evidence):
        return ruling
    needs_person = evidence.submission.data["safety_class"] == "C"
    if needs_person or outcome.confirmed_by or decision.review:
        return _confirmed(decision, outcome, evidence.acceptance, evidence)
    return Release()


def _origin(decision: TaskDecidedV1, submission: Recorded, acceptance: Recorded) -> Iterator[Ruling]:
    """Yield contradictions between what the producer asked for, what was accepted, and what was decided."""
    about = (decision.task_id, decision.tenant, decision.safety_class)
    for event in (submission, acceptance):
        said = tuple(event.data.get(name) for name in ("task_id", "tenant", "safety_class"))
        if said != about or event.data.get("kind", UNDECLARED) not in {decision.kind, _kind_before(decision)}:
            yield ReleaseAsFailure(
                code="internal",
                reason=f"task, tenant, kind or class of the decision are not those of {event.event_type}",
            )
    if acceptance.data["submission"] != {"event_id": submission.event_id, "digest": submission.digest}:
        yield ReleaseAsFailure(code="internal", reason="the acceptance names another submission")


def _kind_before(decision: TaskDecidedV1) -> str | None:
    """Return the kind that a task may have named at first: none at all, where the decision carries a reading of its kind."""
    reading = decision.slip.reading if decision.slip else None
    return UNDECLARED if reading is not None and reading.kind == decision.kind else decision.kind


def _machine_evidence(decision: TaskDecidedV1, outcome: Accepted, evidence: Evidence) -> Iterator[Ruling]:
    """Yield what the cited inferences and verifications lack: models in good standing, and passed checks of this very answer."""
    cited = [evidence.events[cite.event_id] for cite in decision.cites]
    completed = {event.event_id: event for event in cited if _is_completed(event)}
    for event in completed.values():
        if withdrawn := sorted(evidence.revoked.intersection(_model_digests(event.data["settlement"]["model"]))):
            yield ReleaseAsFailure(code="revoked", reason=f"inference {event.event_id} used revoked {withdrawn[0]}")
    passed = [
        event
        for event in cited
        if event.event_type == "verification.settled.v1" and event.data["verdict"]["status"] == "passed"
    ]
    if not passed:
        yield ReleaseAsFailure(code="verification", reason="no cited verification passed")
    unseen = frozenset(event.cause or event.event_id for event in passed if event.cause not in evidence.events)
    if unseen:
        yield Wait(missing=unseen)
    if not any(_checked(event, outcome, completed, evidence) for event in passed):
        yield ReleaseAsFailure(
            code="verification", reason="no cited verification passed this answer of a cited inference"
        )


def _is_completed(event: Recorded) -> bool:
    return event.event_type == "inference.settled.v1" and event.data["settlement"]["status"] == "completed"


def _checked(passed: Recorded, outcome: Accepted, completed: Mapping[str, Recorded], evidence: Evidence) -> bool:
    """Tell whether a passed verification was asked about this answer, and that answer came from a cited inference."""
    request = evidence.events.get(passed.cause or "")
    if request is None or request.event_type != "verification.requested.v1":
        return False
    candidates = request.data["candidates"]
    index = passed.data["verdict"]["answer_index"]
    inference = completed.get(request.data["inference"]["event_id"])
    if inference is None or index >= len(candidates) or request.data["request_id"] != passed.data["request_id"]:
        return False
    given = [answer["text"]["commitment"] for answer in inference.data["settlement"]["answers"]]
    return outcome.answer.commitment == candidates[index]["text"]["commitment"] and outcome.answer.commitment in given


def _model_digests(model: Mapping[str, Any]) -> Iterator[str]:
    yield from (model["weights"], model["tokenizer"], model["engine"])
    if model.get("adapter"):
        yield model["adapter"]["digest"]


def _confirmed(decision: TaskDecidedV1, outcome: Accepted, acceptance: Recorded, evidence: Evidence) -> Ruling:
    """Rule on the person's word: cited, on this very answer, by a reviewer of the pinned document, with a valid signature."""
    cited = {cite.event_id for cite in decision.cites}
    review = evidence.events.get(outcome.confirmed_by or "")
    if review is None or review.event_id not in cited or review.event_type != "review.decided.v1":
        return ReleaseAsFailure(code="bad-review", reason="no cited review confirms this answer")
    said = review.data
    about = (said["verdict"], said["task_id"], said["tenant"], said["answer"])
    if about != ("confirm", decision.task_id, decision.tenant, outcome.answer.commitment):
        return ReleaseAsFailure(code="bad-review", reason="the cited review confirms something else")
    request = evidence.events.get(said["review_request"])
    if request is None:
        return Wait(missing=frozenset({said["review_request"]}))
    if request.event_type != "review.requested.v1" or (
        (request.data["task_id"], request.data["answer"]["commitment"]) != (decision.task_id, outcome.answer.commitment)
    ):
        return ReleaseAsFailure(code="bad-review", reason="the review answers another request")
    pinned = acceptance.data["reviewers"]
    document = evidence.reviewers.get(pinned)
    if document is None:
        return Wait(missing=frozenset({pinned}))
    fault = signature_fault(ReviewDecidedV1.model_validate(said), decision.kind, document)
    return ReleaseAsFailure(code="bad-review", reason=fault) if fault else Release(review=review)


def signature_fault(review: ReviewDecidedV1, kind: str | None, document: Reviewers) -> str | None:
    """Return what is wrong with a review's signature under a reviewers document; None when it holds (21 CFR 11.50, 11.70)."""
    signer = document.reviewers.get(review.signer)
    if signer is None:
        return f"{review.signer} is no reviewer of the pinned document"
    if signer.printed_name != review.printed_name:
        return f"the printed name is not that of {review.signer}"
    if signer.kinds is not None and kind not in signer.kinds:
        return f"{review.signer} does not review tasks of this kind"
    try:
        key = Ed25519Verifier.from_base64(signer.public_key)
        valid = key.verify(review.signed_bytes(), bytes_of_base64(review.signature, "signature"))
    except ProofError as error:
        return error.diagnosis()
    return None if valid else f"the signature of {review.signer} does not hold"
