"""The router's shell: load, decide, publish. It keeps nothing; the slip lies in its own last request."""

import structlog
from tierproof_bus import Bus, Raw, Received, Service
from tierproof_contracts import subjects
from tierproof_contracts.inference import Completed, InferenceSettledV1
from tierproof_contracts.review import ReviewDecidedV1, ReviewExpiredV1, ReviewRequestedV1
from tierproof_contracts.task import Abstained, Failed, TaskDecidedV1, TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.verification import Candidate, NotPassed, VerificationSettledV1

from tierproof_router import advisories, events, steps
from tierproof_router.decide import admit, after_failure, after_verdict
from tierproof_router.settings import RouterSettings

settings = RouterSettings()
service = Service("router", settings)
log = structlog.get_logger()


@service.on(TaskSubmittedV1, workers=settings.workers)
async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
    """Pin documents and deadline, then take the first step."""
    in_force = (
        await bus.document_in_force("routing-policy"),
        await bus.document_in_force("fleet-manifest"),
        await bus.document_in_force("reviewers"),
    )
    pinned = await bus.publish(events.acceptance(event.data, event.citation, event.stored_at, in_force), cause=event)
    slip = events.slip_of(pinned.envelope.data, (event.citation, pinned.envelope.citation()))
    documents = await steps.documents_of(slip, bus)
    await steps.set_deadline(slip, pinned.envelope, bus)
    prompt_bytes = event.data.prompt.size
    step = admit(slip, documents.policy, documents.fleet, frozenset(event.data.inputs), prompt_bytes)
    await steps.take(step, steps.Context(slip=slip, task=event.data, documents=documents, cause=event), bus)


@service.on(InferenceSettledV1, workers=settings.workers)
async def verify_or_ask_again(event: Received[InferenceSettledV1], bus: Bus) -> None:
    """Send answers to the checks; when there is none, retry, escalate or give up."""
    request = await steps.inference_request(event.data.tier, event.data.request_id, bus)
    context = await steps.context(request, event, bus)
    settlement = event.data.settlement
    if isinstance(settlement, Completed):
        candidates = tuple(Candidate(text=a.text, finish_reason=a.finish_reason) for a in settlement.answers)
        await bus.publish(events.verification(context.slip, context.task, candidates, event.citation), cause=event)
        return
    step = after_failure(context.slip, context.documents.policy, context.documents.fleet, settlement)
    await steps.take(step, context, bus)


@service.on(VerificationSettledV1, workers=settings.workers)
async def next_step(event: Received[VerificationSettledV1], bus: Bus) -> None:
    """Turn a verdict into the task's next step."""
    request = await steps.verification_request(event.data.kind, event.data.request_id, bus)
    context = await steps.context(request, event, bus)
    verdict = event.data.verdict
    findings = verdict.findings[verdict.nearest] if isinstance(verdict, NotPassed) else ()
    step = after_verdict(context.slip, context.documents.policy, context.documents.fleet, verdict)
    await steps.take(step, context, bus, findings=findings, candidates=request.data.candidates, verdict=verdict)


@service.on(ReviewDecidedV1, workers=settings.workers)
async def conclude_review(event: Received[ReviewDecidedV1], bus: Bus) -> None:
    """Propose what a person decided; the ledger checks who signed before it releases."""
    said = event.data
    asked = await bus.read(ReviewRequestedV1, subjects.review_requested(said.tenant, said.task_id))
    if asked is None:
        log.warning("review.unasked", task_id=said.task_id)
        return
    slip = events.citing(asked.data.slip, asked.citation, event.citation)
    outcome, because = steps.outcome_of_review(asked, event, slip)
    await bus.publish(events.decision(slip, outcome, because, event.id), cause=event)


@service.on(TaskExpiredV1, workers=settings.workers)
async def end_late_task(event: Received[TaskExpiredV1], bus: Bus) -> None:
    """Decline a task whose time is up, unless it is decided or waits for a person."""
    task = event.data
    waits = await bus.read(ReviewRequestedV1, subjects.review_requested(task.tenant, task.task_id))
    if waits is None and not await steps.is_decided(task.task_id, bus):
        because = f"the deadline {task.deadline} passed"
        outcome = Abstained(code="deadline", detail=because)
        decided = TaskDecidedV1(
            task_id=task.task_id, tenant=task.tenant, outcome=outcome, because=because, cites=(event.citation,)
        )
        await bus.publish(decided, cause=event)


@service.on(ReviewExpiredV1, workers=settings.workers)
async def end_late_review(event: Received[ReviewExpiredV1], bus: Bus) -> None:
    """Decline a task that no person decided in time."""
    task = event.data
    asked = await bus.read(ReviewRequestedV1, subjects.review_requested(task.tenant, task.task_id))
    if asked is not None and not await steps.is_decided(task.task_id, bus):
        because = f"nobody decided the review before {task.deadline}"
        slip = events.citing(asked.data.slip, asked.citation, event.citation)
        await bus.publish(
            events.decision(slip, Abstained(code="review-deadline", detail=because), because), cause=event
        )


@service.on_raw("router--delivery-advised")
async def answer_advisory(raw: Raw, bus: Bus) -> None:
    """Take a request that nobody could handle as a failed settlement, an unreadable submission as a failed task."""
    advisory = advisories.read(raw.content)
    message = await bus.read_raw(advisory.stream, advisory.sequence) if advisory else None
    if message is None:
        return
    unreadable = advisories.unreadable_submission(message)
    if unreadable is not None:
        await bus.publish(
            TaskDecidedV1(
                task_id=unreadable.task_id,
                tenant=unreadable.tenant,
                outcome=Failed(code=unreadable.code, detail=unreadable.why),
                because=unreadable.why,
                cites=unreadable.cites,
            )
        )
        return
    await steps.give_up_request(message, bus)
