"""What Prometheus reads. Labels hold event types and endings, never ids or texts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

handled = Counter("tierproof_handled_total", "Deliveries by event and ending", ["event", "ending"])
handler_seconds = Histogram("tierproof_handler_seconds", "Time in a handler", ["event"])
publish_seconds = Histogram("tierproof_publish_seconds", "Time until the broker stored an event", ["event"])
retried_publications = Counter("tierproof_publish_retries_total", "Publications that had to be repeated", ["stream"])
running = Gauge("tierproof_handlers_running", "Handlers at work", ["event"])
pending = Gauge("tierproof_consumer_pending", "Messages that a durable has not delivered yet", ["durable"])


@contextmanager
def timed_publication(event_type: str) -> Iterator[None]:
    """Measure a publication."""
    started = time.perf_counter()
    try:
        yield
    finally:
        publish_seconds.labels(event_type).observe(time.perf_counter() - started)


@contextmanager
def timed_handler(event_type: str) -> Iterator[None]:
    """Measure a handler."""
    started = time.perf_counter()
    with running.labels(event_type).track_inprogress():
        try:
            yield
        finally:
            handler_seconds.labels(event_type).observe(time.perf_counter() - started)
