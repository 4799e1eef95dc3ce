"""What Prometheus reads of the ledger. Labels hold kinds and types, never ids, tenants or texts. What to do about them: ALERTS.md."""

import orjson
from prometheus_client import Counter, Gauge, Histogram

from tierproof_evidence_ledger.batch import Batch

PREFIX = "tierproof_ledger_"
_KINDS = {"recorded": "event", "conflict": "conflict", "rejected": "rejected", "advisory": "advisory"}

entries = Counter(f"{PREFIX}entries_total", "Entries that were committed", ["kind"])
acts = Counter(f"{PREFIX}acts_total", "Acts among them: what the ledger or its people did", ["type"])
duplicates = Counter(f"{PREFIX}duplicates_total", "Messages that were in the log already, word for word")
batch_entries = Histogram(
    f"{PREFIX}batch_entries", "Entries of one commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
)
commit_seconds = Histogram(f"{PREFIX}commit_seconds", "Time of one commit in the database")
stage_seconds = Histogram(
    f"{PREFIX}stage_seconds", "Time of one step from a batch in hand to its checkpoint for everybody", ["stage"]
)
size = Gauge(f"{PREFIX}size", "Committed entries")
unmirrored = Gauge(f"{PREFIX}unmirrored", "Committed entries that have no second copy yet")
published_size = Gauge(f"{PREFIX}published_size", "Entries under the newest published checkpoint")
published_at = Gauge(f"{PREFIX}published_timestamp_seconds", "When a checkpoint was published last, or the term began")
stamped_at = Gauge(f"{PREFIX}stamped_timestamp_seconds", "When a checkpoint was time-stamped last, or the term began")
missing_witnesses = Gauge(f"{PREFIX}missing_witnesses", "Witnesses that have not cosigned the newest checkpoint")
outbox_waiting = Gauge(f"{PREFIX}outbox_waiting", "Results and checkpoints on their way to the broker")
outbox_stuck = Counter(f"{PREFIX}outbox_stuck_total", "Results and checkpoints that cannot be sent", ["kind"])
faults = Gauge(f"{PREFIX}faults", "Faults that the last deep verification has found")
verified_at = Gauge(f"{PREFIX}verified_timestamp_seconds", "When the ledger verified itself last, or the term began")


def appended(batch: Batch) -> None:
    """Count what was committed."""
    for key in batch.keys:
        if key.disposition in _KINDS:
            entries.labels(_KINDS[key.disposition]).inc()
        else:
            duplicates.inc()
    entries.labels("release").inc(len(batch.outcomes))
    entries.labels("act").inc(len(batch.acts))
    for seq in batch.acts.values():
        acts.labels(orjson.loads(batch.entries[seq - batch.first_seq])["event"]["type"]).inc()
    if batch.entries:
        batch_entries.observe(len(batch.entries))
        size.set(batch.next_seq)


def begun() -> None:
    """Count the time until the first checkpoint, time stamp and verification from now, the beginning of a term."""
    for moment in (published_at, stamped_at, verified_at):
        moment.set_to_current_time()


def published(entries_under: int) -> None:
    """Note that a checkpoint was published just now."""
    published_size.set(entries_under)
    published_at.set_to_current_time()


def verified(found: int) -> None:
    """Note that a deep verification ended just now."""
    faults.set(found)
    verified_at.set_to_current_time()
