"""From a step to its event: ids, seeds, salts and citations follow from what caused them, and from nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tierproof_bus import Raw
from tierproof_contracts.documents import Reviewers
from tierproof_contracts.envelope import Citation, Envelope
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import Finding
from tierproof_router import advisories, events
from tierproof_router.choices import Ask

from tests.unit.router.test_next_step import FLEET, POLICY, slip

SALT = "ab" * 16
CITED = Citation(event_id="00000000-0000-4000-8000-000000000001", digest="sha256:" + "1" * 64)
STORED = datetime(2026, 11, 1, 12, tzinfo=UTC)
DOCUMENTS = events.Documents(policy=POLICY, fleet=FLEET)
REVIEWERS = Reviewers(version="1", reviewers={})
FINDING = Finding(code="rule", where="/text", note="must contain the word `shall`")


def submission(**changes: Any) -> TaskSubmittedV1:
    fields: dict[str, Any] = {
        "tenant": "demo",
        "task_id": "demo_" + "0" * 32,
        "kind": "reg-doc-drafting",
        "safety_class": "B",
        "prompt": Text(text="Write REQ-1.", salt=SALT),
        "inputs": {"schema": Text(text="{}", salt=SALT)},
        "actor": "tests",
    }
    return TaskSubmittedV1(**(fields | changes))


def request(why: Any = "first", tier: Any = "s", findings: Any = ()) -> Any:
    return events.inference(Ask(tier=tier, why=why, rule="because"), slip(), submission(), DOCUMENTS, findings)


@pytest.mark.requirement("S1.2-pinned")
def test_a_request_pins_model_decode_parameters_and_seed() -> None:
    asked = request()
    assert (asked.model.weights, asked.model.tokenizer, asked.model.engine) == (
        FLEET.tiers["s"].weights,
        FLEET.tiers["s"].tokenizer,
        FLEET.tiers["s"].engine,
    )
    assert asked.decode == request().decode
    assert asked.slip.attempts[-1].request_id == asked.request_id


@pytest.mark.requirement("BUS-delivery")
def test_a_request_id_depends_on_the_attempt_and_not_on_the_choice() -> None:
    assert request(tier="s").request_id == request(tier="m", why="escalation").request_id


def test_findings_stand_in_a_repair_prompt_and_in_no_other() -> None:
    assert FINDING.note in request("repair", findings=(FINDING,)).prompt.text
    assert FINDING.note not in request("escalation", "m", findings=(FINDING,)).prompt.text


@pytest.mark.parametrize("lost", ["repair", "resample", "escalation"])
def test_a_retry_asks_what_was_asked_before_with_a_seed_of_its_own(lost: Any) -> None:
    before = request(lost, findings=(FINDING,))
    again = events.inference(
        Ask(tier="s", why="retry", rule="because"), before.slip, submission(), DOCUMENTS, before=before
    )
    assert again.prompt == before.prompt
    assert again.decode.model_copy(update={"seed": 0}) == before.decode.model_copy(update={"seed": 0})
    assert (again.decode.seed, again.request_id) != (before.decode.seed, before.request_id)
    assert again.slip.repairs == before.slip.repairs


def test_only_a_retry_repeats_the_request_before() -> None:
    before = request("repair", findings=(FINDING,))
    after = events.inference(Ask(tier="m", why="escalation", rule=""), before.slip, submission(), DOCUMENTS, (), before)
    assert FINDING.note not in after.prompt.text


def test_several_samples_are_never_greedy() -> None:
    tier = FLEET.tiers["s"]
    several = tier.model_copy(update={"decode": tier.decode.model_copy(update={"samples": 2, "temperature_micro": 0})})
    documents = events.Documents(policy=POLICY, fleet=FLEET.model_copy(update={"tiers": {"s": several}}))
    asked = events.inference(Ask(tier="s", why="first", rule=""), slip(), submission(), documents)
    assert asked.decode.temperature_micro == tier.decode.resample_temperature_micro
    assert request().decode.temperature_micro == 0, "one sample is greedy"


def test_hidden_inputs_never_reach_a_prompt() -> None:
    task = submission(kind="embedded-fw-c", inputs={"reference": Text(text="SECRET", salt=SALT)})
    asked = events.inference(Ask(tier="s", why="first", rule=""), slip("embedded-fw-c"), task, DOCUMENTS, ())
    assert "SECRET" not in asked.prompt.text


def test_the_salt_of_a_prompt_is_secret_and_replays() -> None:
    assert request().prompt.salt == request().prompt.salt != SALT


@pytest.mark.parametrize(("wished", "allowed"), [(None, 60_000), (5_000, 5_000), (9_999_999, 600_000)])
def test_the_deadline_is_bounded_by_policy(wished: int | None, allowed: int) -> None:
    accepted = events.acceptance(submission(time_allowed_ms=wished), CITED, STORED, (POLICY, FLEET, REVIEWERS))
    deadline = datetime.fromisoformat(accepted.deadline)
    assert (deadline - STORED).total_seconds() * 1000 == allowed


@pytest.mark.requirement("P4")
def test_a_decision_cites_everything_that_led_to_it() -> None:
    led = events.citing(slip(), CITED)
    outcome = events.accepted(request().slip, Text(text="yes", salt=SALT))
    assert events.decision(led, outcome, "because").cites == (CITED,)


def raw(subject: str, content: bytes) -> Raw:
    return Raw(subject=subject, content=content, stream="TASK", sequence=1, stored_at=STORED)


def test_an_unreadable_submission_names_its_task_by_subject() -> None:
    task_id = "demo_" + "0" * 32
    lost = advisories.unreadable_submission(raw(f"tierproof.task.submitted.v1.demo.{task_id}", b"{"))
    assert lost is not None
    assert (lost.task_id, lost.code, lost.cites) == (task_id, "unreadable", ())


@pytest.mark.parametrize(
    "name", ["poison-1", "demo_x", "other_" + "0" * 32, "demo_" + "0" * 33, "demo_" + "F" * 32, "demo.x"]
)
def test_a_subject_without_a_usable_task_id_names_none(name: str) -> None:
    assert advisories.unreadable_submission(raw(f"tierproof.task.submitted.v1.demo.{name}", b"{")) is None


def test_a_readable_submission_that_nobody_could_handle_is_cited() -> None:
    task = submission()
    envelope = Envelope[TaskSubmittedV1](
        id=CITED.event_id,
        type=task.event_type,
        source="app",
        subject=task.task_id,
        time="2026-11-01T12:00:00Z",
        dataschema="task.submitted.v1.json",
        correlationid=task.task_id,
        data=task,
    )
    lost = advisories.unreadable_submission(raw(task.subject(), envelope.to_bytes()))
    assert lost is not None
    assert (lost.code, lost.cites) == ("internal", (envelope.citation(),))


@pytest.mark.parametrize(
    ("consumer", "heeded"),
    [
        ("router--task-submitted", True),
        ("inference-worker-m--requested", True),
        ("verifier--requested", True),
        ("router--delivery-advised", False),
        ("router--inference-settled", False),
        ("evidence-ledger--inference", False),
        ("stranger", False),
    ],
)
def test_only_those_who_handle_requests_can_give_them_up(consumer: str, heeded: bool) -> None:  # noqa: FBT001
    said = f'{{"stream": "INFERENCE", "stream_seq": 7, "consumer": "{consumer}"}}'.encode()
    expected = advisories.Advisory(stream="INFERENCE", sequence=7)
    assert advisories.read(said) == (expected if heeded else None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"stream": "TASK", "stream_seq": "x", "consumer": "c"}'])
def test_what_is_no_advisory_is_left_alone(content: bytes) -> None:
    assert advisories.read(content) is None
