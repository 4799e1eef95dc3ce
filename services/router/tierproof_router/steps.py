"""What the handlers share: reading a task's context back from the bus, and publishing the step that was decided."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

import structlog
from tierproof_bus import Bus, Published, Raw, Received, Transient
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.errors import ContractError
from tierproof_contracts.ids import UNDECLARED, written
from tierproof_contracts.inference import Completed, InferenceRequestedV1, InferenceSettledV1, NotCompleted
from tierproof_contracts.review import ReviewDecidedV1, ReviewExpiredV1, ReviewRequestedV1
from tierproof_contracts.slip import Slip
from tierproof_contracts.task import (
    Abstained,
    Accepted,
    Failed,
    TaskAcceptedV1,
    TaskDecidedV1,
    TaskExpiredV1,
    TaskSubmittedV1,
)
from tierproof_contracts.text import commitment_to
from tierproof_contracts.verification import (
    Candidate,
    Finding,
    NotPassed,
    Passed,
    Unverifiable,
    VerificationRequestedV1,
    VerificationSettledV1,
)

from tierproof_router import events, triage
from tierproof_router.choices import Abstain, Accept, Ask, AskPerson, Fail, Step
from tierproof_router.decide import admit, after_failure, after_verdict, rule_for
from tierproof_router.events import Documents
from tierproof_router.triage import AskTriage, Read

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A task's slip, submission and pinned documents, the event that the router answers, and the inference that it settles."""

    slip: Slip
    task: TaskSubmittedV1
    documents: Documents
    cause: Received[Any]
    asked: InferenceRequestedV1 | None = None


async def documents_of(slip: Slip, bus: Bus) -> Documents:
    """Return the documents that the task's acceptance pinned."""
    return Documents(
        policy=await bus.document("routing-policy", slip.policy), fleet=await bus.document("fleet-manifest", slip.fleet)
    )


async def inference_request(tier: str, request_id: str, bus: Bus) -> Received[InferenceRequestedV1]:
    """Return the router's own request that a settlement names; raises Transient while it cannot be read."""
    return _found(await bus.read(InferenceRequestedV1, subjects.inference_requested(tier, request_id)), request_id)


async def verification_request(kind: str, request_id: str, bus: Bus) -> Received[VerificationRequestedV1]:
    """Return the router's own request that a settlement names; raises Transient while it cannot be read."""
    return _found(
        await bus.read(VerificationRequestedV1, subjects.verification_requested(kind, request_id)), request_id
    )


def _found(found: T | None, name: str) -> T:
    if found is None:
        raise Transient(f"{name} cannot be read back yet")
    return found


async def context(
    request: Received[InferenceRequestedV1] | Received[VerificationRequestedV1], news: Received[Any] | None, bus: Bus
) -> Context:
    """Return the context of a request, with the request and what settled it as evidence."""
    citations = [request.citation, *([news.citation] if news else [])]
    slip = events.citing(request.data.slip, *citations)
    task = await bus.read(TaskSubmittedV1, subjects.task_submitted(slip.tenant, slip.task_id))
    documents = await documents_of(slip, bus)
    asked = request.data if isinstance(request.data, InferenceRequestedV1) else None
    found = _found(task, slip.task_id).data
    return Context(slip=slip, task=found, documents=documents, cause=news or request, asked=asked)


async def set_deadline(slip: Slip, pinned: Published[TaskAcceptedV1], bus: Bus) -> None:
    """Leave the task's deadline with the broker; whoever stored the acceptance is the first to do so."""
    expiry = TaskExpiredV1(task_id=slip.task_id, tenant=slip.tenant, deadline=slip.deadline)
    at = datetime.fromisoformat(slip.deadline)
    timer = subjects.timer_set("task", slip.task_id)
    await bus.publish_after(expiry, at=at, timer=timer, cause=pinned.envelope, first=pinned.stored == "new")


async def acceptance(task_id: str, bus: Bus) -> Received[TaskAcceptedV1]:
    """Return the router's first word on a task; raises Transient while it cannot be read."""
    return _found(await bus.read(TaskAcceptedV1, subjects.task_accepted(task_id)), task_id)


async def is_decided(task_id: str, bus: Bus) -> bool:
    """Tell whether the task has its outcome."""
    return await bus.read(TaskDecidedV1, subjects.task_decided(task_id)) is not None


async def is_over(context: Context, bus: Bus) -> bool:
    """Tell whether news comes after the task's end. Before its deadline nobody but the task's own chain ends it."""
    late = context.cause.stored_at >= datetime.fromisoformat(context.slip.deadline)
    return late and await is_decided(context.slip.task_id, bus)


async def begin(context: Context, bus: Bus, told: str = "") -> None:
    """Take the first step of an accepted task: of one without a kind, ask what it is; `told` is what was read then."""
    slip, documents, prompt = context.slip, context.documents, context.task.prompt.size
    if slip.kind == UNDECLARED:
        await take(triage.begin(documents.policy, documents.fleet, prompt), context, bus)
        return
    sizes = {name: text.size for name, text in context.task.inputs.items()}
    step = admit(slip, documents.policy, documents.fleet, sizes, prompt)
    await take(replace(step, rule=f"{told}; {step.rule}"[:500]) if told else step, context, bus)


async def after_triage(settlement: Completed | NotCompleted, context: Context, bus: Bus) -> None:
    """Go on with the kind that was read, ask again, or decline."""
    policy = context.documents.policy
    if isinstance(settlement, NotCompleted):
        await take(triage.after_failure(context.slip, policy, context.documents.fleet, settlement), context, bus)
        return
    match triage.after_answer(context.slip, policy, settlement.answers[0].text.text):
        case Read(slip=slip, rule=rule):
            log.info("task.triaged", task_id=slip.task_id, rule=rule)
            await begin(replace(context, slip=slip), bus, rule)
        case step:
            await take(step, context, bus)


async def verify(answers: Completed, context: Context, bus: Bus) -> None:
    """Send all answers of an inference to the checks."""
    candidates = tuple(Candidate(text=a.text, finish_reason=a.finish_reason) for a in answers.answers)
    asked = events.verification(context.slip, context.task, candidates, context.cause.citation)
    await bus.publish(asked, cause=context.cause)


async def take(
    step: Step | AskTriage,
    context: Context,
    bus: Bus,
    *,
    findings: Sequence[Finding] = (),
    candidates: Sequence[Candidate] = (),
    verdict: Passed | NotPassed | Unverifiable | None = None,
) -> None:
    """Publish the event of a step."""
    slip = context.slip
    log.info("task.routed", task_id=slip.task_id, **_facts(step))
    match step:
        case Ask():
            request = events.inference(step, slip, context.task, context.documents, findings, context.asked)
            await bus.publish(request, cause=context.cause)
        case AskTriage(spec=spec):
            await bus.publish(events.triage(slip, context.task, spec), cause=context.cause)
        case Accept(answer_index=index, rule=rule):
            outcome = events.accepted(slip, candidates[index].text)
            await bus.publish(events.decision(slip, outcome, rule), cause=context.cause)
        case AskPerson(answer_index=index, rule=rule):
            await ask_person(context, candidates[index], rule, verdict, bus)
        case Abstain() | Fail():
            await bus.publish(events.decision(slip, events.declined(step), step.rule), cause=context.cause)
        case unreachable:
            assert_never(unreachable)


def _facts(step: Step | AskTriage) -> dict[str, str]:
    if isinstance(step, Ask):
        return {"step": "Ask", "tier": step.tier, "why": step.why, "rule": step.rule}
    return {"step": type(step).__name__, **({"code": step.code} if isinstance(step, Abstain | Fail) else {})}


async def ask_person(
    context: Context, candidate: Candidate, rule: str, verdict: Passed | NotPassed | Unverifiable | None, bus: Bus
) -> None:
    """Put a verified answer before a person, with a deadline of its own, unless the task has ended meanwhile."""
    slip = context.slip
    if await is_decided(slip.task_id, bus):
        return
    rules = rule_for(slip, context.documents.policy)
    deadline = context.cause.stored_at + timedelta(milliseconds=rules.review_time_ms)
    request = ReviewRequestedV1(
        task_id=slip.task_id,
        tenant=slip.tenant,
        kind=slip.kind,
        safety_class=slip.safety_class,
        because=rule,
        prompt=context.task.prompt,
        answer=candidate.text,
        tier=slip.attempts[-1].tier,
        checks=verdict.checks if isinstance(verdict, Passed) else (),
        deadline=written(deadline),
        slip=slip,
    )
    asked = await bus.publish(request, cause=context.cause)
    expiry = ReviewExpiredV1(
        task_id=slip.task_id,
        tenant=slip.tenant,
        review_request=asked.envelope.id,
        deadline=asked.envelope.data.deadline,
    )
    at = datetime.fromisoformat(asked.envelope.data.deadline)
    await bus.publish_after(expiry, at=at, timer=subjects.timer_set("review", slip.task_id), cause=asked.envelope)


def outcome_of_review(
    asked: Received[ReviewRequestedV1], said: Received[ReviewDecidedV1], slip: Slip
) -> tuple[Accepted | Abstained | Failed, str]:
    """Return what a person's word leads to: it counts only for the answer that was put before them."""
    answer = asked.data.answer
    if said.data.review_request != asked.id or said.data.answer != commitment_to(answer.text, answer.salt):
        why = "the review decision names another request or another answer"
        return Failed(code="bad-review", detail=why), why
    if said.data.verdict == "reject":
        why = f"{said.data.printed_name} rejected the answer"
        return Abstained(code="review-rejected", detail=why), why
    return events.accepted(slip, answer, said.id), f"{said.data.printed_name} confirmed the answer"


async def after_loss(lost: Context, failure: NotCompleted, bus: Bus) -> None:
    """Go on after a request that nobody settled."""
    if lost.asked is not None and lost.asked.purpose == "triage":
        await after_triage(failure, lost, bus)
    else:
        await take(after_failure(lost.slip, lost.documents.policy, lost.documents.fleet, failure), lost, bus)


async def give_up_request(message: Raw, bus: Bus) -> None:
    """Take an unsettled request whose handler never ended as a failed settlement; other messages have other nets."""
    try:
        event = read_event(message.content)
    except ContractError:
        return
    match event.data:
        case InferenceRequestedV1(tier=tier, request_id=request_id):
            if await bus.read(InferenceSettledV1, subjects.inference_settled(tier, request_id)) is None:
                lost = await context(await inference_request(tier, request_id, bus), None, bus)
                failure = NotCompleted(code="crashed", detail="the worker gave the request up", another_try=False)
                await after_loss(lost, failure, bus)
        case VerificationRequestedV1(kind=kind, request_id=request_id):
            if await bus.read(VerificationSettledV1, subjects.verification_settled(kind, request_id)) is None:
                lost = await context(await verification_request(kind, request_id, bus), None, bus)
                verdict = Unverifiable(reason="the verifier gave the request up")
                await take(after_verdict(lost.slip, lost.documents.policy, lost.documents.fleet, verdict), lost, bus)
