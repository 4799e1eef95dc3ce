"""What the guided run says: a line per task from its story, the endings that it owes, five sentences."""

from dataclasses import replace
from typing import Any

import pytest
from tierproof_contracts.questions import Story, StoryEvent
from tierproof_embedded.demo_report import ENDINGS, Line, line_of, missing_endings, summary
from tierproof_embedded.demo_tasks import DemoTask

TASK = f"demo_{'0' * 32}"
DEMO = DemoTask(title="door", kind="reg-doc-drafting", safety_class="C", prompt="p")


def story(state: Any, *events: tuple[str, dict[str, Any]]) -> Story:
    return Story(
        task_id=TASK,
        state=state,
        events=tuple(
            StoryEvent(index=number + 5, kind="event", type=kind, recorded_at="2026-11-01T12:00:00Z", data=data)
            for number, (kind, data) in enumerate(events)
        ),
    )


def asked(tier: str, why: str) -> tuple[str, dict[str, Any]]:
    return "inference.requested.v1", {"purpose": "answer", "slip": {"attempts": [{"tier": tier, "why": why}]}}


def judged(verdict: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "verification.settled.v1", {"verdict": verdict}


FAILED = {"status": "failed", "nearest": 1, "findings": [[{"code": "schema"}], [{"code": "trace"}]]}
PASSED = {"status": "passed"}


def test_a_line_tells_the_road_of_a_task() -> None:
    line = line_of(
        DEMO,
        story(
            "answered",
            asked("s", "first"),
            judged(FAILED),
            asked("s", "repair"),
            judged(FAILED),
            asked("m", "escalation"),
            judged(PASSED),
            ("review.decided.v1", {}),
            ("result.released.v1", {}),
        ),
    )
    assert line.passed == (False, False, True)
    assert line.whys == ("first", "repair", "escalation")
    assert line.cells == (
        "door",
        "reg-doc-drafting",
        "C",
        "S > S > M",
        "3",
        "passed",
        "answered (person)",
        "12",
    )


def test_the_nearest_answer_names_the_verdict() -> None:
    assert line_of(DEMO, story("abstained", asked("s", "first"), judged(FAILED))).verdict == "trace"


def test_a_task_that_no_tier_was_asked_for() -> None:
    line = line_of(DEMO, story("abstained", ("task.decided.v1", {})))
    assert (line.cells[3], line.cells[4], line.verdict, line.reviewed) == ("-", "0", "-", False)


def lines() -> list[Line]:
    """Return lines that show every ending."""
    answered = line_of(DEMO, story("answered", asked("s", "first"), judged(PASSED), ("review.decided.v1", {})))
    road = (asked("s", "first"), judged(FAILED), asked("s", "repair"), judged(FAILED), asked("m", "escalation"))
    return [answered, line_of(DEMO, story("abstained", *road))]


def test_nothing_is_missing_when_every_ending_was_shown() -> None:
    assert missing_endings(lines(), 1) == []
    assert missing_endings(lines(), 0) == ["dead letter"]
    assert missing_endings([line_of(DEMO, story("failed", ("task.decided.v1", {})))], 0) == list(ENDINGS)


@pytest.mark.parametrize(
    ("change", "missing"),
    [({"outcome": "failed"}, "answered"), ({"reviewed": False}, "reviewed")],
)
def test_an_ending_that_did_not_happen_is_named(change: dict[str, Any], missing: str) -> None:
    first, second = lines()
    assert missing_endings([replace(first, **change), second], 1) == [missing]


def test_the_summary_counts_and_does_not_boast() -> None:
    said = summary(lines(), dead=1, entries=77, seconds=12.4)
    assert len(said) == 6
    assert said[0] == "2 tasks in 12 s: 1 abstained, 1 answered; 1 dead letter; 77 ledger entries verified."
    assert said[1].startswith("1 were repaired, 1 escalated, 1 decided by a person")
    assert "1 of 2 first attempts and 1 of 3 in all" in said[2]
    assert TASK in said[5]


def test_the_summary_says_what_the_adapters_are_worth() -> None:
    first, second = lines()
    adapted = [replace(first, adapters=("fw",)), replace(second, adapters=("fw", "fw", None))]
    said = summary(adapted, dead=1, entries=77, seconds=12.4, bare=(2, 0))
    assert said[3] == "With its adapters it was right at once in 1 of 2 tasks; without, in 0 of 2."


def test_a_task_that_names_no_kind_shows_the_kind_that_was_read() -> None:
    unnamed = replace(DEMO, kind="undeclared")
    triage = ("inference.requested.v1", {"purpose": "triage", "slip": {"attempts": [], "triaged": 1}})
    line = line_of(unnamed, story("answered", triage, asked("s", "first"), ("task.decided.v1", {"kind": "code"})))
    assert (line.kind, line.path, line.named) == ("code (read)", ("s",), False)
    declined = line_of(unnamed, story("abstained", triage, ("task.decided.v1", {"kind": "undeclared"})))
    assert (declined.kind, declined.path) == ("none named", ())
