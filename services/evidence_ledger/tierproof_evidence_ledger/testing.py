"""Whole tasks as events, and messages that carry them: what tests and load generators feed a ledger with."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from tierproof_contracts import documents, inference, review, task, verification
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.catalogue import envelope_of, schema_name
from tierproof_contracts.envelope import Envelope, Event
from tierproof_contracts.ids import event_id_of, request_id_of
from tierproof_contracts.slip import Slip
from tierproof_contracts.text import Text
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.keys import Ed25519Signer

from tierproof_evidence_ledger.testing_streams import NOON

EVENING, NIGHT = "2099-11-01T18:00:00Z", "2099-11-01T23:00:00Z"
REVIEWER = Ed25519Signer.from_seed(b"a reviewer's seed for tests only")
AUTHOR = Ed25519Signer.from_seed(b"document author's seed for tests")
KIND = "code-review"


def digest(name: str) -> str:
    """Return some digest that a name leads to."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def text(words: str) -> Text:
    """Return a text with a salt that its words lead to."""
    return Text(text=words, salt=hashlib.sha256(words.encode()).hexdigest()[:32])


def enveloped(data: Event, cause: Envelope[Any] | None = None, event_id: str | None = None) -> Envelope[Any]:
    """Return an event in its envelope, caused by another one."""
    about = str(getattr(data, "task_id", None) or data.subject().rsplit(".", 1)[1])
    origin = "00000000-0000-5000-8000-000000000000" if cause is None else cause.id
    return envelope_of(type(data))(
        id=event_id or event_id_of(origin, data.event_type, len(data.subject()) + hash_of(data.subject())),
        type=data.event_type,
        source="tests",
        subject=about,
        time=NOON,
        dataschema=schema_name(data.event_type),
        correlationid=cause.correlationid if cause else about,
        causationid=cause.id if cause else None,
        data=data,
    )


def hash_of(words: str) -> int:
    """Return a number that words lead to, equal in every process."""
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4])


REVIEWERS = documents.Reviewers(
    version="1",
    reviewers={"ada": documents.Reviewer(printed_name="Ada L.", public_key=base64_of(REVIEWER.public_key))},
)


def published(document: documents.Document, author: Ed25519Signer = AUTHOR) -> Envelope[Any]:
    """Return the event that brings a signed document into force."""
    payload = canonical_json(document.model_dump(mode="json", exclude_none=True))
    envelope = sign_envelope("application/vnd.tierproof.document+json", payload, [author])
    name = document.model_dump()["document"]
    return enveloped(
        documents.PolicyPublishedV1(
            name=name, digest=document.digest(), envelope=documents.DsseEnvelope.model_validate(envelope)
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A task's life. `events` come in the order in which a router would cause them; any may be left out or replaced."""

    events: tuple[Envelope[Any], ...]

    def __getitem__(self, event_type: str) -> Envelope[Any]:
        return next(event for event in self.events if event.type == event_type)

    @property
    def task_id(self) -> str:
        """The task."""
        return str(self.events[0].data.task_id)

    def without(self, *event_types: str) -> "Story":
        """Return the story with events left out; citations of them stay."""
        return Story(events=tuple(event for event in self.events if event.type not in event_types))

    def deciding(self, **changes: Any) -> "Story":  # noqa: ANN401 - fields of the decision
        """Return the story with another decision, under the same event id."""
        old = self["task.decided.v1"]
        new = old.model_copy(update={"data": old.data.model_copy(update=changes)})
        return replace(self, events=(*self.without("task.decided.v1").events, new))

    def saying(self, event_type: str, **changes: Any) -> "Story":  # noqa: ANN401 - fields of the event
        """Return the story with another event of a type, cited anew where it was cited."""
        old = self[event_type]
        new = old.model_copy(update={"data": old.data.model_copy(update=changes)})
        told = tuple(new if event.type == event_type else event for event in self.events)
        decision = self["task.decided.v1"].data
        cites = tuple(new.citation() if cite.event_id == old.id else cite for cite in decision.cites)
        return Story(events=told).deciding(cites=cites)


def answered_task(
    number: int,
    *,
    safety_class: str = "A",
    tenant: str = "acme",
    answer: str = "an answer",
    confirmed: bool | None = None,
) -> Story:
    """Return the story of an accepted answer; class C is confirmed by a reviewer unless told otherwise."""
    submitted, accepted = _begun(number, safety_class, tenant)
    slip = _slip(accepted)
    asked, settled = _inferred(accepted, slip, text(f"{answer} {number}"))
    to_verify, verified = _verified(settled, slip)
    events = [submitted, accepted, asked, settled, to_verify, verified]
    cites = [event.citation() for event in (submitted, accepted, settled, verified)]
    outcome: dict[str, Any] = {"answer": settled.data.settlement.answers[0].text.ref(), "tier": "s"}
    cause, confirmation = verified, None
    if safety_class == "C" if confirmed is None else confirmed:
        requested, decided = _reviewed(verified, slip, settled.data.settlement.answers[0].text)
        events += [requested, decided]
        cites += [requested.citation(), decided.citation()]
        cause, confirmation = decided, decided.id
    decision = task.TaskDecidedV1(
        **_about(accepted),
        outcome=task.Accepted(**outcome, confirmed_by=confirmation),
        because="every check passed",
        cites=tuple(cites),
        review=confirmation,
        slip=slip,
    )
    return Story(events=(*events, enveloped(decision, cause)))


def abstained_task(number: int, *, tenant: str = "acme") -> Story:
    """Return the story of a task that is declined at once."""
    submitted, accepted = _begun(number, "A", tenant)
    decision = task.TaskDecidedV1(
        **_about(accepted),
        outcome=task.Abstained(code="unknown-kind", detail="no policy for this kind"),
        because="no policy for this kind",
        cites=(submitted.citation(), accepted.citation()),
    )
    return Story(events=(submitted, accepted, enveloped(decision, accepted)))


def sign_review(data: review.ReviewDecidedV1, signer: Ed25519Signer = REVIEWER) -> review.ReviewDecidedV1:
    """Return the review with a signature over what it says now."""
    return data.model_copy(update={"signature": base64_of(signer.sign(data.signed_bytes()))})


def _begun(number: int, safety_class: str, tenant: str) -> tuple[Envelope[Any], Envelope[Any]]:
    task_id = f"{tenant}_{number:032x}"
    submitted = enveloped(
        task.TaskSubmittedV1.model_validate(
            {
                "tenant": tenant,
                "task_id": task_id,
                "kind": KIND,
                "safety_class": safety_class,
                "prompt": text(f"a prompt {number}").model_dump(),
                "inputs": {"reference": text(f"a reference {number}").model_dump()},
                "actor": "producer-1",
            }
        )
    )
    accepted = task.TaskAcceptedV1.model_validate(
        {
            "task_id": task_id,
            "tenant": tenant,
            "kind": KIND,
            "safety_class": safety_class,
            "submission": submitted.citation().model_dump(),
            "policy": digest("policy"),
            "fleet": digest("fleet"),
            "reviewers": REVIEWERS.digest(),
            "accepted_at": NOON,
            "deadline": EVENING,
        }
    )
    return submitted, enveloped(accepted, submitted)


def _about(accepted: Envelope[Any]) -> dict[str, Any]:
    return {name: getattr(accepted.data, name) for name in ("task_id", "tenant", "kind", "safety_class")}


def _slip(accepted: Envelope[Any]) -> Slip:
    data = accepted.data
    return Slip(
        **_about(accepted),
        policy=data.policy,
        fleet=data.fleet,
        reviewers=data.reviewers,
        accepted_at=data.accepted_at,
        deadline=data.deadline,
    )


def _inferred(accepted: Envelope[Any], slip: Slip, answer: Text) -> tuple[Envelope[Any], Envelope[Any]]:
    request_id = request_id_of(slip.task_id, "inference", 1)
    model = inference.ModelPin(
        name="tier_s",
        weights=digest("weights"),
        tokenizer=digest("tokenizer"),
        engine=digest("engine"),
        decode_mode="reproducible",
        adapter=inference.AdapterPin(name="code-review", digest=digest("adapter")),
    )
    asked = inference.InferenceRequestedV1(
        request_id=request_id,
        task_id=slip.task_id,
        tenant=slip.tenant,
        tier="s",
        purpose="answer",
        prompt=text(f"a prompt of {slip.task_id}"),
        model=model,
        decode=inference.Decode(max_tokens=64, temperature_micro=0, seed=1),
        deadline=EVENING,
        slip=slip,
    )
    given = inference.Answer(text=answer, finish_reason="stop", cumulative_logprob="-1.5", seed=1)
    settled = inference.InferenceSettledV1(
        request_id=request_id,
        task_id=slip.task_id,
        tenant=slip.tenant,
        tier="s",
        settlement=inference.Completed(answers=(given,), model=model, generation_ms=12, replica="r1"),
    )
    asked_event = enveloped(asked, accepted)
    return asked_event, enveloped(settled, asked_event)


def _verified(settled: Envelope[Any], slip: Slip) -> tuple[Envelope[Any], Envelope[Any]]:
    request_id = request_id_of(slip.task_id, "verification", 1)
    to_verify = verification.VerificationRequestedV1(
        request_id=request_id,
        task_id=slip.task_id,
        tenant=slip.tenant,
        kind=slip.kind,
        candidates=(verification.Candidate(text=settled.data.settlement.answers[0].text, finish_reason="stop"),),
        inputs={},
        inference=settled.citation(),
        deadline=EVENING,
        slip=slip,
    )
    requested = enveloped(to_verify, settled)
    passed = verification.Passed(answer_index=0, checks=(verification.CheckReport(check="compiles", passed=True),))
    verdict = verification.VerificationSettledV1(
        request_id=request_id,
        task_id=slip.task_id,
        tenant=slip.tenant,
        kind=slip.kind,
        verdict=passed,
        verifier="checks 1",
        checking_ms=3,
    )
    return requested, enveloped(verdict, requested)


def _reviewed(verified: Envelope[Any], slip: Slip, answer: Text) -> tuple[Envelope[Any], Envelope[Any]]:
    requested = enveloped(
        review.ReviewRequestedV1(
            **{name: getattr(slip, name) for name in ("task_id", "tenant", "kind", "safety_class")},
            because="class C is confirmed by a person",
            prompt=text("a prompt"),
            answer=answer,
            tier="s",
            checks=(),
            deadline=NIGHT,
            slip=slip,
        ),
        verified,
    )
    unsigned = review.ReviewDecidedV1(
        task_id=slip.task_id,
        tenant=slip.tenant,
        review_request=requested.id,
        answer=answer.ref().commitment,
        verdict="confirm",
        meaning="approval",
        reason="checked against the requirement",
        signer="ada",
        printed_name="Ada L.",
        signed_at=NOON,
        signature=base64_of(bytes(64)),
    )
    return requested, enveloped(sign_review(unsigned), requested)
