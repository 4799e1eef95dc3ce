"""What is counted, and that whoever is alerted finds what to do."""

import re
import uuid
from pathlib import Path

from prometheus_client import REGISTRY
from tierproof_evidence_ledger import metrics
from tierproof_evidence_ledger.acts import Act, act_entry
from tierproof_evidence_ledger.batch import Batch, IngestKey, Outcome

ALERTS = Path(metrics.__file__).resolve().parents[1] / "ALERTS.md"
SUFFIXES = re.compile(r"_(total|bucket|count|sum|created)$")


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tierproof_ledger_{name}", labels) or 0.0


def _key(disposition: str, sequence: int) -> IngestKey:
    return IngestKey(stream=("TASK", "then"), stream_seq=sequence, seq=0, disposition=disposition, event_id=None)


def test_a_batch_is_counted_by_what_it_holds() -> None:
    kinds = ("event", "conflict", "rejected", "advisory", "release", "act")
    before = {kind: _value("entries_total", kind=kind) for kind in kinds}
    erased, doubled = _value("acts_total", type="ledger.erased.v1"), _value("duplicates_total")
    act = Act(type="ledger.erased.v1", data={"tenant": "acme"}, act_id=uuid.uuid4())
    dispositions = ("recorded", "recorded", "conflict", "rejected", "advisory", "duplicate")
    batch = Batch(
        first_seq=40,
        entries=[b"{}"] * 5 + [b"{}", act_entry(act, "2026-11-01T12:30:00.000000Z")],
        keys=[_key(disposition, number) for number, disposition in enumerate(dispositions)],
        outcomes=[Outcome(task_id="acme_1", seq=45, status="answered", decision=None)],
        acts={act.act_id: 46},
    )
    metrics.appended(batch)
    after = {kind: _value("entries_total", kind=kind) - before[kind] for kind in kinds}
    assert after == {"event": 2, "conflict": 1, "rejected": 1, "advisory": 1, "release": 1, "act": 1}
    assert sum(after.values()) == len(batch.entries)
    assert _value("acts_total", type="ledger.erased.v1") == erased + 1
    assert _value("duplicates_total") == doubled + 1
    assert _value("size") == 47


def test_a_sweep_that_finds_nothing_counts_nothing() -> None:
    before = _value("batch_entries_count")
    metrics.appended(Batch(first_seq=7))
    assert _value("batch_entries_count") == before


def test_each_alert_reads_a_metric_that_there_is_and_each_metric_has_a_line() -> None:
    told = {SUFFIXES.sub("", name) for name in re.findall(r"tierproof_ledger_\w+", ALERTS.read_text())}
    there = {family.name for family in REGISTRY.collect() if family.name.startswith(metrics.PREFIX)}
    assert told == there
