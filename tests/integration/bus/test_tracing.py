"""One trace from the producer through every service that reacts."""

from collections.abc import Callable

import pytest
from opentelemetry import trace
from tierproof_bus import Bus, BusSettings, Received, Service
from tierproof_bus.testing import serving, until
from tierproof_contracts.task import Failed, TaskDecidedV1, TaskSubmittedV1

TRACE, SPAN = 0x1234567890ABCDEF1234567890ABCDEF, 0x1234567890ABCDEF


@pytest.mark.requirement("BUS-contracts")
async def test_effects_carry_the_trace_of_their_cause(
    acme: Bus, router: Bus, settings: Callable[..., BusSettings], submission: Callable[..., TaskSubmittedV1]
) -> None:
    decided: list[str | None] = []
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        effect = TaskDecidedV1(
            task_id=event.data.task_id,
            tenant="acme",
            outcome=Failed(code="internal", detail="for the test"),
            because="for the test",
            cites=(),
        )
        decided.append((await bus.publish(effect, cause=event)).envelope.traceparent)

    context = trace.SpanContext(TRACE, SPAN, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        published = await acme.publish(submission())
    assert published.envelope.traceparent == f"00-{TRACE:032x}-{SPAN:016x}-01"
    async with serving(service):
        await until(lambda: bool(decided))
    assert decided[0] is not None
    assert decided[0].split("-")[1] == f"{TRACE:032x}"
