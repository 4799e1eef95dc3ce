"""Trace context (W3C) through message headers and envelopes. Nothing is exported unless the process sets a provider up."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

_tracer = trace.get_tracer("tierproof_bus")


def configure(service: str) -> None:
    """Give this process spans of its own, without an exporter; a provider that was set up before stays."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": f"tierproof-{service}"})))


def traceparent() -> str | None:
    """Return the running span as a W3C traceparent, None outside any span that is recorded or passed on."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def handling(event_type: str, headers: Mapping[str, str], envelope_traceparent: str | None) -> Iterator[None]:
    """Continue the sender's trace while a message is handled."""
    origin = envelope_traceparent or headers.get("traceparent")  # a timer's message keeps no headers
    context = propagate.extract({"traceparent": origin}) if origin else None
    with _tracer.start_as_current_span(
        f"handle {event_type}", context=context, kind=trace.SpanKind.CONSUMER, record_exception=False
    ):
        yield
