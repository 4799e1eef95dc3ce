"""A task without a kind: asked about, believed within the policy's bounds, never lowered; every bound of the policy decides."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tierproof_contracts.documents import FleetManifest, RoutingPolicy, TriagePolicy
from tierproof_contracts.ids import UNDECLARED
from tierproof_contracts.inference import NotCompleted
from tierproof_contracts.triage import TriageReading
from tierproof_router import triage
from tierproof_router.choices import Abstain, Accept, AskPerson, Fail
from tierproof_router.decide import after_verdict
from tierproof_router.events import time_allowed_ms
from tierproof_router.events import triage as triage_request
from tierproof_router.triage import AskTriage, Read

from tests.unit.router.lives import submission
from tests.unit.router.test_next_step import FLEET, PASSED, POLICY, slip

MICRO = st.integers(min_value=0, max_value=1_000_000)
CLEAR: dict[str, Any] = {
    "kind": "embedded-fw-c",
    "kind_micro": 990_000,
    "modality": "text",
    "modality_micro": 990_000,
    "out_of_domain_micro": 1_000,
    "retrieval": "no",
    "retrieval_micro": 990_000,
    "risk": "A",
    "risk_micro": 990_000,
}
BOUNDS = {
    "lowest_kind_micro": 900_000,
    "highest_out_of_domain_micro": 200_000,
    "riskier_needs_person": True,
    "prompt_bytes": 8_000,
    "time_allowed_ms": 60_000,
    "longest_time_allowed_ms": 600_000,
}
UNKNOWN = slip(kind=UNDECLARED, triaged=1)


def reading(**changes: Any) -> str:
    return json.dumps(CLEAR | changes)


def bounded(**changes: Any) -> RoutingPolicy:
    assert POLICY.triage is not None
    return POLICY.model_copy(update={"triage": POLICY.triage.model_copy(update=changes)})


def without_triage() -> tuple[RoutingPolicy, FleetManifest]:
    return POLICY.model_copy(update={"triage": None}), FLEET.model_copy(update={"triage": None})


def test_the_delivered_bounds_are_these() -> None:
    assert POLICY.triage == TriagePolicy.model_validate(BOUNDS)


def test_a_clear_reading_names_the_kind_and_is_kept() -> None:
    step = triage.after_answer(UNKNOWN, POLICY, reading())
    assert isinstance(step, Read)
    assert step.slip.kind == "embedded-fw-c"
    assert step.slip.reading == TriageReading.model_validate(CLEAR)
    assert step.rule == "triage read embedded-fw-c at 0.990, risk A"


@pytest.mark.requirement("S9-gate")
@given(kind=MICRO, outside=MICRO)
def test_a_reading_is_believed_exactly_within_the_bounds(kind: int, outside: int) -> None:
    step = triage.after_answer(UNKNOWN, POLICY, reading(kind_micro=kind, out_of_domain_micro=outside))
    within = kind >= BOUNDS["lowest_kind_micro"] and outside <= BOUNDS["highest_out_of_domain_micro"]
    assert isinstance(step, Read) == within
    if isinstance(step, Abstain):
        assert step.code == "out-of-domain"
        assert "name the kind" in step.rule


@pytest.mark.parametrize(
    ("bound", "at", "answer"),
    [
        ("lowest_kind_micro", 600_000, reading(kind_micro=600_000)),
        ("highest_out_of_domain_micro", 400_000, reading(out_of_domain_micro=400_000)),
    ],
)
def test_each_bound_of_a_reading_decides_by_itself(bound: str, at: int, answer: str) -> None:
    beyond = at + 1 if bound.startswith("lowest") else at - 1
    assert isinstance(triage.after_answer(UNKNOWN, bounded(**{bound: at}), answer), Read)
    assert isinstance(triage.after_answer(UNKNOWN, bounded(**{bound: beyond}), answer), Abstain)


@pytest.mark.requirement("S9-gate")
@pytest.mark.parametrize(
    "answer",
    [
        "",
        "embedded-fw-c",
        "[]",
        "{}",
        reading(kind="No Kind!"),
        reading(kind_micro=1_000_001),
        reading(kind_micro=0.99),
        reading(risk="D"),
        reading(also="this"),
        reading()[:-1],
    ],
)
def test_what_is_no_reading_ends_the_task(answer: str) -> None:
    step = triage.after_answer(UNKNOWN, POLICY, answer)
    assert isinstance(step, Fail)
    assert step.code == "inference"


@pytest.mark.parametrize("missing", ["policy", "fleet"])
def test_without_a_triage_model_a_task_must_name_its_kind(missing: str) -> None:
    policy, fleet = without_triage()
    step = triage.begin(policy if missing == "policy" else POLICY, fleet if missing == "fleet" else FLEET, 10)
    assert isinstance(step, Abstain)
    assert step.code == "unknown-kind"
    assert "name one" in step.rule


def test_a_prompt_is_read_up_to_the_bound() -> None:
    most = BOUNDS["prompt_bytes"]
    assert isinstance(triage.begin(POLICY, FLEET, most), AskTriage)
    too_large = triage.begin(POLICY, FLEET, most + 1)
    assert isinstance(too_large, Abstain)
    assert too_large.code == "too-large"


def test_a_failed_triage_is_asked_again_as_often_as_any_inference_and_then_ends() -> None:
    crashed = NotCompleted(code="crashed", detail="gone", another_try=True)
    most = POLICY.failed_inference_retries
    for asked in range(1, most + 1):
        assert isinstance(triage.after_failure(slip(kind=UNDECLARED, triaged=asked), POLICY, FLEET, crashed), AskTriage)
    ended = triage.after_failure(slip(kind=UNDECLARED, triaged=most + 1), POLICY, FLEET, crashed)
    assert isinstance(ended, Fail)
    assert ended.code == "no-worker"
    hopeless = NotCompleted(code="digest-mismatch", detail="another model", another_try=False)
    assert isinstance(triage.after_failure(UNKNOWN, POLICY, FLEET, hopeless), Fail)
    late = NotCompleted(code="deadline", detail="too late", another_try=False)
    assert isinstance(triage.after_failure(UNKNOWN, POLICY, FLEET, late), Abstain)


@pytest.mark.requirement("S9-classC")
@pytest.mark.parametrize("risk", ["A", "B", "C"])
@pytest.mark.parametrize("declared", ["A", "B", "C"])
def test_a_reading_never_lowers_a_class_and_more_risk_needs_a_person(declared: Any, risk: str) -> None:
    read = triage.after_answer(slip(UNDECLARED, declared), POLICY, reading(risk=risk))
    assert isinstance(read, Read)
    assert read.slip.safety_class == declared
    person = declared == "C" or risk > declared
    assert isinstance(after_verdict(read.slip, POLICY, FLEET, PASSED), AskPerson if person else Accept)
    indifferent = bounded(riskier_needs_person=False)
    assert isinstance(after_verdict(read.slip, indifferent, FLEET, PASSED), AskPerson if declared == "C" else Accept)


def test_a_request_for_triage_is_the_prompt_itself_and_costs_no_answer_budget() -> None:
    assert FLEET.triage is not None
    task = submission(UNDECLARED)
    asked = triage_request(slip(kind=UNDECLARED), task, FLEET.triage)
    assert (asked.purpose, asked.tier, asked.model.name) == ("triage", FLEET.triage.tier, FLEET.triage.model)
    assert asked.prompt.text == task.prompt.text
    assert (asked.slip.triaged, asked.slip.attempts, asked.slip.tokens_spent) == (1, (), 0)
    again = triage_request(slip(kind=UNDECLARED), task, FLEET.triage)
    assert again == asked
    later = triage_request(asked.slip, task, FLEET.triage)
    assert later.request_id != asked.request_id


@pytest.mark.parametrize(("wanted", "allowed"), [(None, 60_000), (1_000, 1_000), (10**8, 600_000)])
def test_a_task_without_a_kind_has_the_time_that_triage_allows(wanted: int | None, allowed: int) -> None:
    task = submission(UNDECLARED).model_copy(update={"time_allowed_ms": wanted})
    assert time_allowed_ms(task, POLICY) == allowed


def test_no_kind_may_be_called_as_tasks_without_one_are() -> None:
    document = POLICY.model_dump(mode="json", exclude_none=True)
    document["kinds"][UNDECLARED] = document["kinds"]["embedded-fw-c"]
    with pytest.raises(ValidationError, match="another name"):
        RoutingPolicy.model_validate(document)
