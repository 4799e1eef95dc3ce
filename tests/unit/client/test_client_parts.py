"""The pure parts of the client: durations, named inputs, differences between submissions, dead submissions, explanations."""

from pathlib import Path
from typing import Any

import pytest
import typer
from tierproof.cli.dead import mended, submission_of
from tierproof.cli.explain import WHY, explanation
from tierproof.cli.story import reason_of
from tierproof.cli.tasks import Exit, named_inputs, seconds
from tierproof.errors import AlreadySubmitted, ClientError
from tierproof.fleet import _difference
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.questions import DeadLetter, Story, StoryEvent
from tierproof_contracts.task import TaskSubmittedV1

TASK = f"demo_{'0' * 32}"
POLICY = f"sha256:{'1' * 64}"
LETTER = DeadLetter(
    index=3,
    service="router",
    reason="unreadable",
    detail="d",
    attempts=1,
    stream="TASK",
    sequence=9,
    subject=f"tierproof.task.submitted.v1.demo.{TASK}",
    recorded_at="2026-11-01T12:00:00Z",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("250ms", 0.25), ("1.5s", 1.5), (" 2s ", 2)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "5 m 3", "1e3", "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(text)


def test_inputs_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "a=b.txt").write_text("content")
    assert named_inputs([f"schema={tmp_path / 'a=b.txt'}"]) == {"schema": "content"}
    with pytest.raises(typer.BadParameter, match="name=path"):
        named_inputs(["schema"])
    with pytest.raises(ClientError, match="absent"):
        named_inputs([f"schema={tmp_path / 'absent'}"])


def test_exit_codes_stay_apart() -> None:
    assert [code.value for code in Exit] == [0, 3, 4, 5, 6]


def submission(**changes: Any) -> TaskSubmittedV1:
    """Return a submission; `salt` may differ without another content."""
    salt = changes.pop("salt", "0" * 32)
    fields: dict[str, Any] = {
        "tenant": "demo",
        "task_id": TASK,
        "kind": "code-review",
        "safety_class": "B",
        "prompt": {"text": changes.pop("prompt", "p"), "salt": salt},
        "inputs": {name: {"text": text, "salt": salt} for name, text in changes.pop("inputs", {"i": "x"}).items()},
        "time_allowed_ms": 1000,
        "actor": "a",
    }
    return TaskSubmittedV1.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, None),
        ({"salt": "1" * 32}, None),
        ({"prompt": "q"}, "prompt"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": {"j": "x"}}, "inputs"),
        ({"inputs": {"i": "y"}}, "inputs"),
        ({"kind": "test-generation"}, "kind"),
        ({"safety_class": "C"}, "safety_class"),
        ({"time_allowed_ms": 2000}, "time_allowed_ms"),
        ({"redrives": f"demo_{'2' * 32}"}, "redrives"),
    ],
)
def test_the_difference_of_two_submissions_is_named(changes: dict[str, Any], differs: str | None) -> None:
    assert _difference(submission(), submission(**changes)) == differs


def test_the_refusal_of_another_content_names_it() -> None:
    assert "prompt" in AlreadySubmitted(TASK, "prompt").diagnosis()


def envelope_of(data: TaskSubmittedV1) -> bytes:
    return Envelope[TaskSubmittedV1](
        id="00000000-0000-5000-8000-000000000000",
        type=data.event_type,
        source="app-demo",
        subject=data.task_id,
        time="2026-11-01T12:00:00Z",
        dataschema="task.submitted.v1.json",
        correlationid=data.task_id,
        data=data,
    ).to_bytes()


def test_a_dead_submission_that_can_be_read_is_taken_as_it_was() -> None:
    assert submission_of(LETTER, envelope_of(submission())) == {
        "kind": "code-review",
        "safety_class": "B",
        "prompt": "p",
        "inputs": {"i": "x"},
        "time_allowed": 1.0,
    }


def test_a_dead_submission_that_cannot_be_read_needs_a_mended_one() -> None:
    with pytest.raises(ClientError, match="--file"):
        submission_of(LETTER, b'{"kind": ')


@pytest.mark.parametrize("content", ["", "[]", "null", "1", '{"kind": "k", "prompt": "p"}', '"text"'])
def test_a_mended_submission_without_its_fields_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "mended.json"
    file.write_text(content)
    with pytest.raises(ClientError, match="safety_class"):
        mended(file)


def story(state: Any, *events: tuple[str, dict[str, Any]]) -> Story:
    return Story(
        task_id=TASK,
        state=state,
        events=tuple(
            StoryEvent(index=index, kind="event", type=kind, recorded_at="2026-11-01T12:00:00Z", data=data)
            for index, (kind, data) in enumerate(events)
        ),
    )


def attempt(why: str) -> tuple[str, dict[str, Any]]:
    tried = {"number": 1, "tier": "s", "why": why, "rule": "ladder starts at s"}
    return "inference.requested.v1", {"purpose": "answer", "slip": {"attempts": [tried]}, "prompt": {}}


@pytest.mark.requirement("S2-policy")
@pytest.mark.parametrize("why", WHY)
def test_each_attempt_is_explained_with_its_rule(why: str) -> None:
    first = explanation(story("open", attempt(why)), None)[0]
    assert first == f"attempt 1, tier s: {WHY[why]} (ladder starts at s)"


def test_a_triage_is_explained_as_what_it_is() -> None:
    asked = {"purpose": "triage", "model": {"name": "triage"}, "slip": {"attempts": [], "triaged": 1}, "prompt": {}}
    first = explanation(story("open", ("inference.requested.v1", asked)), None)[0]
    assert first == "triage 1: the task names no kind, so triage reads one"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("exhausted", "kinds.code-review.classes.B.repairs"),
        ("over-budget", "kinds.code-review.classes.B.tokens"),
        ("unknown-kind", "a rule for this kind"),
        ("out-of-domain", "--kind"),
        ("deadline", "--deadline"),
        ("too-large", "kinds.code-review.prompt_bytes"),
        ("something-else", "something-else"),
    ],
)
def test_an_abstention_says_what_would_change_it(code: str, hint: str) -> None:
    outcome = {"status": "abstained", "code": code, "detail": "d"}
    slip = {"repairs": 2, "escalations": 1, "tokens_spent": 900}
    decided = {"outcome": outcome, "because": "checks failed", "kind": "code-review", "safety_class": "B", "slip": slip}
    lines = explanation(story("abstained", ("task.decided.v1", decided)), None)
    assert lines[0] == "outcome abstained: checks failed"
    assert "what would change it" in lines[1]
    assert hint in lines[1]


@pytest.mark.parametrize(("state", "said"), [("waiting", "waits for a person"), ("open", "decided")])
def test_what_has_no_outcome_yet_says_so(state: str, said: str) -> None:
    assert any(said in line for line in explanation(story(state), None))


def test_what_was_pinned_is_named() -> None:
    accepted = {"policy": POLICY, "fleet": POLICY, "deadline": "2026-11-01T12:01:00Z", "kind": "k", "safety_class": "B"}
    assert any(POLICY in line for line in explanation(story("open", ("task.accepted.v1", accepted)), None))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"because": "every check passed"}, "every check passed"),
        (attempt("first")[1], "tier s, first: ladder starts at s"),
        ({"verdict": {"status": "passed"}}, "passed"),
        ({"verdict": {"status": "failed", "findings": [[{"code": "b"}, {"code": "a"}], []]}}, "failed: a, b"),
        ({"settlement": {"status": "failed", "code": "crashed"}}, "failed: crashed"),
        ({"deadline": "2026-11-01T12:01:00Z"}, "deadline 2026-11-01T12:01:00Z"),
        ({"kind": "code-review", "safety_class": "B"}, "code-review class B"),
        ({}, ""),
    ],
)
def test_each_event_has_a_reason(data: dict[str, Any], reason: str) -> None:
    assert reason_of(data) == reason
