"""The router's shell: load, decide, publish. It keeps nothing; the slip lies in its own last request."""

import asyncio

import structlog
from tierproof_bus import Bus, Raw, Received, Service
from tierproof_contracts import subjects
from tierproof_contracts.inference import Completed, InferenceSettledV1
from tierproof_contracts.review import ReviewDecidedV1, ReviewExpiredV1, ReviewRequestedV1
from tierproof_contracts.task import Abstained, TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.verification import NotPassed, VerificationSettledV1

from tierproof_router import advisories, events, steps
from tierproof_router.decide import after_failure, after_verdict
from tierproof_router.settings import RouterSettings

log = structlog.get_logger()


def service(settings: RouterSettings) -> Service:
    """Return the service: a handler per event."""
    app = Service("router", settings)
    app.on(TaskSubmittedV1, workers=settings.workers)(accept)
    app.on(InferenceSettledV1, workers=settings.workers)(verify_or_ask_again)
    app.on(VerificationSettledV1, workers=settings.workers)(next_step)
    app.on(ReviewDecidedV1, workers=settings.workers)(conclude_review)
    app.on(TaskExpiredV1, workers=settings.workers)(end_late_task)
    app.on(ReviewExpiredV1, workers=settings.workers)(end_late_review)
    app.on_raw("router--delivery-advised")(answer_advisory)
    return app


async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
    """Pin documents and deadline, then take the first step. What was pinned at a first delivery holds at the second."""
    in_force = await asyncio.gather(
        bus.document_in_force("routing-policy"),
        bus.document_in_force("fleet-manifest"),
        bus.document_in_force("reviewers"),
    )
    pinned = await bus.publish(events.acceptance(event.data, event.citation, event.stored_at, in_force), cause=event)
    slip = events.slip_of(pinned.envelope.data, (event.citation, pinned.envelope.citation()))
    documents = await steps.documents_of(slip, bus)
    await steps.set_deadline(slip, pinned, bus)
    await steps.begin(steps.Context(slip=slip, task=event.data, documents=documents, cause=event), bus)


async def verify_or_ask_again(event: Received[InferenceSettledV1], bus: Bus) -> None:
    """Send answers to the checks; when there is none, retry, escalate or give up."""
    request = await steps.inference_request(event.data.tier, event.data.request_id, bus)
    context = await steps.context(request, event, bus)
    settlement = event.data.settlement
    if await steps.is_over(context, bus):
        return
    if request.data.purpose == "triage":
        await steps.after_triage(settlement, context, bus)
        return
    if isinstance(settlement, Completed):
        await steps.verify(settlement, context, bus)
        return
    step = after_failure(context.slip, context.documents.policy, context.documents.fleet, settlement)
    await steps.take(step, context, bus)


async def next_step(event: Received[VerificationSettledV1], bus: Bus) -> None:
    """Turn a verdict into the task's next step."""
    request = await steps.verification_request(event.data.kind, event.data.request_id, bus)
    context = await steps.context(request, event, bus)
    verdict = event.data.verdict
    if await steps.is_over(context, bus):
        return
    findings = verdict.findings[verdict.nearest] if isinstance(verdict, NotPassed) else ()
    step = after_verdict(context.slip, context.documents.policy, context.documents.fleet, verdict)
    await steps.take(step, context, bus, findings=findings, candidates=request.data.candidates, verdict=verdict)


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


async def end_late_task(event: Received[TaskExpiredV1], bus: Bus) -> None:
    """Decline a task whose time is up, unless it is decided or waits for a person."""
    task = event.data
    waits = await bus.read(ReviewRequestedV1, subjects.review_requested(task.tenant, task.task_id))
    if waits is None and not await steps.is_decided(task.task_id, bus):
        accepted = await steps.acceptance(task.task_id, bus)
        await bus.publish(events.expiry(accepted.data, accepted.citation, event.citation), cause=event)


async def end_late_review(event: Received[ReviewExpiredV1], bus: Bus) -> None:
    """Decline a task that no person decided in time."""
    task = event.data
    asked = await bus.read(ReviewRequestedV1, subjects.review_requested(task.tenant, task.task_id))
    if asked is not None and not await steps.is_decided(task.task_id, bus):
        because = f"nobody decided the review before {task.deadline}"
        slip = events.citing(asked.data.slip, asked.citation, event.citation)
        outcome = Abstained(code="review-deadline", detail=because)
        await bus.publish(events.decision(slip, outcome, because), cause=event)


async def answer_advisory(raw: Raw, bus: Bus) -> None:
    """Take a request that nobody could handle as a failed settlement, an unreadable submission as a failed task."""
    advisory = advisories.read(raw.content)
    message = await bus.read_raw(advisory.stream, advisory.sequence) if advisory else None
    if message is None:
        return
    lost = advisories.unreadable_submission(message)
    if lost is None:
        await steps.give_up_request(message, bus)
    elif not await steps.is_decided(lost.task_id, bus):
        await bus.publish(advisories.decision(lost))
