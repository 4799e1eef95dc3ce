"""What the guided run prints. Pure: from stories to lines, and what must have happened."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_contracts.ids import UNDECLARED
from tierproof_contracts.questions import Story

from tierproof_embedded.demo_tasks import DemoTask

ENDINGS = ("answered", "repaired", "escalated", "reviewed", "abstained", "dead letter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One task in the table. `path` are the tiers asked, in order; `passed` tells for each verdict whether an answer passed.

    `named` tells whether the producer named the kind.
    """

    title: str
    kind: str
    safety_class: str
    path: tuple[str, ...]
    whys: tuple[str, ...]
    adapters: tuple[str | None, ...]
    passed: tuple[bool, ...]
    verdict: str
    outcome: str
    index: int
    reviewed: bool
    task_id: str
    named: bool = True

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the table."""
        tiers = " > ".join(tier.upper() for tier in self.path) or "-"
        shown = f"{self.outcome} (person)" if self.reviewed else self.outcome
        return (
            self.title,
            self.kind,
            self.safety_class,
            tiers,
            str(len(self.path)),
            self.verdict,
            shown,
            str(self.index),
        )


def line_of(task: DemoTask, story: Story) -> Line:
    """Return the line of a finished task."""
    data: list[tuple[str, dict[str, Any]]] = [(event.type or event.kind, event.data) for event in story.events]
    asked = [said for kind, said in data if kind == "inference.requested.v1" and said["purpose"] == "answer"]
    attempts = [said["slip"]["attempts"][-1] for said in asked]
    verdicts: list[dict[str, Any]] = [said["verdict"] for kind, said in data if kind == "verification.settled.v1"]
    return Line(
        title=task.title,
        kind=_kind(task, data),
        safety_class=task.safety_class,
        path=tuple(attempt["tier"] for attempt in attempts),
        whys=tuple(attempt["why"] for attempt in attempts),
        adapters=tuple(attempt.get("adapter") for attempt in attempts),
        passed=tuple(verdict["status"] == "passed" for verdict in verdicts),
        verdict=_verdict(verdicts),
        outcome=story.state,
        index=story.events[-1].index,
        reviewed=any(kind == "review.decided.v1" for kind, _ in data),
        task_id=story.task_id,
        named=task.kind != UNDECLARED,
    )


def _kind(task: DemoTask, data: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return the task's kind; of one that named none, the kind that was read, marked as such."""
    if task.kind != UNDECLARED:
        return task.kind
    decided = next((str(said.get("kind")) for kind, said in data if kind == "task.decided.v1"), UNDECLARED)
    return "none named" if decided == UNDECLARED else f"{decided} (read)"


def _verdict(verdicts: Sequence[dict[str, Any]]) -> str:
    if not verdicts:
        return "-"
    last = verdicts[-1]
    if last["status"] != "failed":
        return str(last["status"])
    nearest = last["findings"][last["nearest"]]
    return str(nearest[0]["code"]) if nearest else "failed"


def missing_endings(lines: Sequence[Line], dead: int) -> list[str]:
    """Return the endings that the run was to show and did not."""
    happened = {
        "answered": any(line.outcome == "answered" for line in lines),
        "repaired": any({"repair", "resample"} & set(line.whys) for line in lines),
        "escalated": any("escalation" in line.whys for line in lines),
        "reviewed": any(line.reviewed for line in lines),
        "abstained": any(line.outcome == "abstained" for line in lines),
        "dead letter": dead > 0,
    }
    return [ending for ending in ENDINGS if not happened[ending]]


def summary(
    lines: Sequence[Line], dead: int, entries: int, seconds: float, bare: tuple[int, int] = (0, 0)
) -> list[str]:
    """Return the lines that say what was shown, how often the models were right, and where to look next.

    `bare` is how many tasks with an adapter were asked without it, and how many of these were right.
    """
    outcomes = Counter(line.outcome for line in lines)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    verdicts = [passed for line in lines for passed in line.passed]
    first = [line.passed[0] for line in lines if line.passed]
    repairs = sum(bool({"repair", "resample"} & set(line.whys)) for line in lines)
    escalated = sum("escalation" in line.whys for line in lines)
    example = next((line for line in lines if line.outcome == "answered" and len(line.path) > 1), lines[0])
    people = sum(line.reviewed for line in lines)
    adapted = [line.passed[0] for line in lines if line.passed and line.adapters[0] and line.named]
    asked, unaided = bare
    tries = f"{sum(first)} of {len(first)} first attempts and {sum(verdicts)} of {len(verdicts)} in all"
    helped = f"{sum(adapted)} of {len(adapted)} tasks; without, in {unaided} of {asked}"
    models = [f"The 135M stand-in passed the checks in {tries}."]
    if asked:
        models += [f"With its adapters it was right at once in {helped}."]
    return [
        f"{len(lines)} tasks in {seconds:.0f} s: {counted}; {dead} dead letter; {entries} ledger entries verified.",
        f"{repairs} were repaired, {escalated} escalated, {people} decided by a person (all class C).",
        *models,
        "That the checks passed is all that `verified` claims.",
        "One result was verified offline: inclusion proof, signatures of log and witness, commitment of the answer.",
        f"Next: make up; . .venv/bin/activate; tierproof task story {example.task_id}; README.md",
    ]
