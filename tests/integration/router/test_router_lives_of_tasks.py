"""What becomes of a task on a real broker: each actor under its own permissions, the router a process that only hears and says."""

from datetime import datetime
from typing import Any

import pytest
from tierproof_contracts import subjects
from tierproof_contracts.inference import NotCompleted
from tierproof_contracts.task import Abstained, Accepted, Failed, TaskAcceptedV1
from tierproof_contracts.verification import Unverifiable

from tests.integration.router.stage import DOWN, FAILED, FINDING, FLEET, PASSED, POLICY, REVIEWERS, Stage


@pytest.mark.requirement("P2", "P6")
async def test_a_right_answer_of_the_smallest_tier_is_accepted_with_all_its_evidence(stage: Stage) -> None:
    submitted = (await stage.submit("right")).envelope
    task_id = submitted.data.task_id
    asked = await stage.inference(task_id)
    assert (asked.data.tier, asked.data.slip.attempts[0].why) == ("s", "first")
    checks = await stage.answer(asked)
    verdict = (await stage.judge(checks, PASSED)).envelope
    decided = (await stage.decided(task_id)).data
    assert decided.outcome == Accepted(answer=checks.data.candidates[0].text.ref(), tier="s")
    acceptance = await stage.there(TaskAcceptedV1, subjects.task_accepted(task_id))
    said = acceptance.data
    assert (said.policy, said.fleet, said.reviewers) == (POLICY.digest(), FLEET.digest(), REVIEWERS.digest())
    cited = [cite.event_id for cite in decided.cites]
    assert cited[:3] == [submitted.id, acceptance.id, asked.id]
    assert checks.data.inference.event_id in cited
    assert cited[-2:] == [checks.id, verdict.id]
    assert len(cited) == len(set(cited))


@pytest.mark.requirement("P2", "S9-gate")
async def test_a_wrong_answer_is_repaired_with_its_findings_in_the_prompt(stage: Stage) -> None:
    task_id = (await stage.submit("repair")).envelope.data.task_id
    first = await stage.round(task_id, 1, FAILED)
    repair = await stage.round(task_id, 2, PASSED)
    assert (repair.data.tier, repair.data.slip.attempts[1].why) == ("s", "repair")
    assert FINDING.note in repair.data.prompt.text
    assert FINDING.note not in first.data.prompt.text
    assert isinstance((await stage.decided(task_id)).data.outcome, Accepted)


@pytest.mark.requirement("S9-gate", "A7")
async def test_wrong_answers_climb_the_ladder_and_end_in_abstention(stage: Stage) -> None:
    task_id = (await stage.submit("wrong")).envelope.data.task_id
    asked = [(await stage.round(task_id, number, FAILED)).data for number in range(1, 6)]
    assert [(one.tier, one.slip.attempts[-1].why) for one in asked] == [
        ("s", "first"),
        ("s", "repair"),
        ("m", "escalation"),
        ("m", "repair"),
        ("l", "escalation"),
    ]
    decided = (await stage.decided(task_id)).data
    assert isinstance(decided.outcome, Abstained)
    assert decided.outcome.code == "exhausted"
    assert len(decided.cites) == 2 + 5 * 4, "submission, acceptance, and per attempt two requests and two settlements"


@pytest.mark.requirement("S10-escalation-budget")
async def test_a_failed_settlement_is_retried_once_and_then_the_next_tier_is_asked(stage: Stage) -> None:
    task_id = (await stage.submit("down")).envelope.data.task_id
    told = []
    for number in (1, 2):
        asked = await stage.inference(task_id, number)
        told.append((asked.data.tier, asked.data.slip.attempts[-1].why))
        await stage.settle(asked, DOWN)
    third = (await stage.inference(task_id, 3)).data
    assert [*told, (third.tier, third.slip.attempts[-1].why)] == [("s", "first"), ("s", "retry"), ("m", "escalation")]


async def test_a_retry_asks_what_the_request_before_it_asked(stage: Stage) -> None:
    """At temperature 0 the first prompt would give the first, wrong answer again."""
    task_id = (await stage.submit("retried-repair")).envelope.data.task_id
    await stage.round(task_id, 1, FAILED)
    repair = await stage.inference(task_id, 2)
    await stage.settle(repair, DOWN)
    retry = await stage.inference(task_id, 3)
    assert retry.data.slip.attempts[-1].why == "retry"
    assert retry.data.prompt.text == repair.data.prompt.text
    assert retry.data.decode.temperature_micro == repair.data.decode.temperature_micro


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (NotCompleted(code="bad-schema", detail="no", another_try=False), (Failed, "inference")),
        (NotCompleted(code="deadline", detail="late", another_try=False), (Abstained, "deadline")),
    ],
    ids=lambda value: value.code if isinstance(value, NotCompleted) else "",
)
async def test_some_failures_end_a_task_at_once(stage: Stage, failure: NotCompleted, outcome: Any) -> None:
    task_id = (await stage.submit(failure.code)).envelope.data.task_id
    await stage.settle(await stage.inference(task_id), failure)
    found = (await stage.decided(task_id)).data.outcome
    assert isinstance(found, Abstained | Failed)
    assert (type(found), found.code) == outcome


@pytest.mark.requirement("P2")
async def test_checks_that_cannot_run_are_never_a_pass(stage: Stage) -> None:
    task_id = (await stage.submit("unverifiable")).envelope.data.task_id
    await stage.round(task_id, 1, Unverifiable(reason="no sandbox"))
    assert (await stage.decided(task_id)).data.outcome == Failed(code="verification", detail="no sandbox")


@pytest.mark.requirement("S9-classC", "P3")
async def test_class_c_waits_for_a_person_whose_word_is_cited(stage: Stage) -> None:
    task_id = (await stage.submit("confirmed", "C")).envelope.data.task_id
    asked = await stage.waiting_review(task_id)
    assert not await stage.is_decided(task_id)
    assert asked.data.checks == PASSED.checks
    said = (await stage.review(asked)).envelope
    decided = (await stage.decided(task_id)).data
    assert decided.outcome == Accepted(answer=asked.data.answer.ref(), tier="s", confirmed_by=said.id)
    assert decided.review == said.id
    assert [cite.event_id for cite in decided.cites][-2:] == [asked.id, said.id]


@pytest.mark.requirement("S9-classC")
@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ({"verdict": "reject"}, (Abstained, "review-rejected")),
        ({"answer": "hmac-sha256:" + "0" * 64}, (Failed, "bad-review")),
        ({"review_request": "00000000-0000-5000-8000-000000000000"}, (Failed, "bad-review")),
    ],
    ids=["reject", "another-answer", "another-request"],
)
async def test_another_word_than_yes_to_this_very_answer_accepts_nothing(
    stage: Stage, word: dict[str, str], outcome: Any
) -> None:
    task_id = (await stage.submit("".join(word), "C")).envelope.data.task_id
    said = (await stage.review(await stage.waiting_review(task_id), **word)).envelope
    decided = (await stage.decided(task_id)).data
    assert isinstance(decided.outcome, Abstained | Failed)
    assert (type(decided.outcome), decided.outcome.code) == outcome
    assert decided.review == said.id


@pytest.mark.requirement("A7")
async def test_a_task_whose_time_is_up_is_declined(stage: Stage) -> None:
    task_id = (await stage.submit("late", time_allowed_ms=300)).envelope.data.task_id
    decided = await stage.decided(task_id)
    assert isinstance(decided.data.outcome, Abstained)
    assert decided.data.outcome.code == "deadline"
    acceptance = await stage.there(TaskAcceptedV1, subjects.task_accepted(task_id))
    assert decided.stored_at >= datetime.fromisoformat(acceptance.data.deadline)


@pytest.mark.requirement("S9-classC")
async def test_a_task_that_waits_for_a_person_outlives_its_deadline(stage: Stage) -> None:
    task_id = (await stage.submit("patient", "C", time_allowed_ms=1500)).envelope.data.task_id
    asked = await stage.waiting_review(task_id)
    expired = await stage.expired(task_id)
    later = (await stage.submit("after-patient", time_allowed_ms=300)).envelope.data.task_id
    await stage.decided(later)  # the router has heard the first deadline by the time it has heard this one
    assert expired.data.task_id == task_id
    assert not await stage.is_decided(task_id)
    await stage.review(asked)
    assert isinstance((await stage.decided(task_id)).data.outcome, Accepted)


@pytest.mark.requirement("BUS-delivery")
async def test_a_submission_sent_twice_is_one_task(stage: Stage) -> None:
    first = await stage.submit("twice")
    again = await stage.submit("twice")
    assert (first.stored, again.stored, again.sequence) == ("new", "same", first.sequence)
    task_id = first.envelope.data.task_id
    asked = await stage.inference(task_id)
    await stage.submit("twice")
    await stage.judge(await stage.answer(asked), PASSED)
    decided = (await stage.decided(task_id)).data
    assert decided.slip is not None
    assert len(decided.slip.attempts) == 1


@pytest.mark.requirement("A7")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "poetry"}, "unknown-kind"),
        ({"inputs": {}}, "verification"),
        ({"prompt": {"text": "x" * 16_001, "salt": "5a" * 16}}, "too-large"),
    ],
    ids=["unknown-kind", "missing-input", "too-large"],
)
async def test_a_task_that_cannot_be_asked_says_why(stage: Stage, changes: dict[str, Any], code: str) -> None:
    task_id = (await stage.submit(f"refused-{code}", **changes)).envelope.data.task_id
    found = (await stage.decided(task_id)).data.outcome
    assert isinstance(found, Abstained | Failed)
    assert found.code == code
