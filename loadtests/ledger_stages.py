"""Where the ledger's time goes: how often each of its steps was done between two looks at its metrics, and how long one took."""

import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

STEPS, COMMIT = "tierproof_ledger_stage_seconds", "tierproof_ledger_commit_seconds"

Look = dict[tuple[str, str], float]


def look(port: int) -> Look:
    """Return what the ledger behind a port has counted: by step and by "count" or "sum" (seconds)."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.labels.get("stage", "commit"), sample.name.rpartition("_")[2]): sample.value
        for family in families
        if family.name in {STEPS, COMMIT}
        for sample in family.samples
        if sample.name.endswith(("_count", "_sum"))
    }


def between(before: Look, after: Look) -> dict[str, Any]:
    """Return, by step, how often it was done and how many ms it took on average; `record` contains `commit`."""
    steps = {step: after[step, "count"] - before.get((step, "count"), 0) for step, what in after if what == "count"}
    return {
        step: {
            "times": round(times),
            "mean_ms": round(1000 * (after[step, "sum"] - before.get((step, "sum"), 0)) / times, 1),
        }
        for step, times in sorted(steps.items())
        if times
    }
