"""What each threshold of the delivered policy does. Changing one number in it makes exactly the tests fail that bear its name.

A test measures the behaviour at the boundary of one threshold while all others are set aside, and compares it with the table
below, never with the policy. TIERPROOF_POLICY_UNDER_TEST names another folder with a routing-policy.json.
"""

import asyncio
import copy
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tierproof_bus.testing import BEGINNING, MemoryBroker
from tierproof_contracts.documents import RoutingPolicy
from tierproof_contracts.review import ReviewRequestedV1
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import Candidate
from tierproof_router import events, steps
from tierproof_router.choices import Abstain, Ask, AskPerson, Fail
from tierproof_router.decide import after_verdict
from tierproof_router.prompts import compose

from tests.unit.router.lives import (
    CRASHED,
    FAILED,
    FINDINGS,
    FLEET,
    FLEET_FOLDER,
    HOPELESS,
    PASSED,
    SALT,
    admitted,
    lived,
    submission,
)

FOLDER = Path(os.environ.get("TIERPROOF_POLICY_UNDER_TEST", FLEET_FOLDER))
DELIVERED = json.loads((FOLDER / "routing-policy.json").read_text())
WEEK = 7 * 24 * 3600 * 1000
LONG_NEWS = 20

_FREE = {
    "ladder": ["s", "m", "l"],
    "repairs": 2,
    "repairs_per_tier": 1,
    "escalations": 2,
    "tokens": 1600,
    "needs_person": False,
    "time_allowed_ms": 60_000,
    "longest_time_allowed_ms": 600_000,
    "review_time_ms": WEEK,
}
_CAREFUL = _FREE | {"repairs": 1, "tokens": 1200, "needs_person": True, "time_allowed_ms": 120_000}
_STYLE = {"reg-doc-drafting": "findings", "embedded-fw-c": "findings", "dicom-adjacent": "resample"}
_PROMPT_BYTES = {"reg-doc-drafting": 16_000, "embedded-fw-c": 16_000, "dicom-adjacent": 8_000}
_FINDINGS = {"reg-doc-drafting": 3, "embedded-fw-c": 2, "dicom-adjacent": 1}
_INPUTS = {
    "reg-doc-drafting": ["schema", "rules", "requirements", "pattern"],
    "embedded-fw-c": ["signature", "reference"],
    "dicom-adjacent": ["question"],
}

# Reviewed with the policy: a number that changes there is changed here, knowingly, by a second person.
EXPECTED: dict[str, Any] = {
    "failed_inference_retries": 1,
    "grace_ms": 30_000,
    **{f"{kind}.prompt_bytes": size for kind, size in _PROMPT_BYTES.items()},
    **{f"{kind}.findings_shown": count for kind, count in _FINDINGS.items()},
    **{f"{kind}.required_inputs": names for kind, names in _INPUTS.items()},
    **{
        f"{kind}.{safety_class}.{name}": value
        for kind, style in _STYLE.items()
        for safety_class, rule in (("A", _FREE), ("B", _FREE), ("C", _CAREFUL))
        for name, value in (rule | {"repair_style": style}).items()
    },
}

# Thresholds set aside: none of these gets in the way of the one that is measured.
_ASIDE_RULE: dict[str, Any] = {
    "ladder": ["s", "m", "l", "v", "e"],
    "repairs": 2,
    "repairs_per_tier": 2,
    "repair_style": "findings",
    "escalations": 9,
    "tokens": 10**9,
    "needs_person": True,
    "time_allowed_ms": 1000,
    "longest_time_allowed_ms": 2 * WEEK,
    "review_time_ms": 2000,
}
_ASIDE_KIND: dict[str, Any] = {
    "instructions": "",
    "repair_instructions": "",
    "findings_shown": 20,
    "required_inputs": [],
    "prompt_bytes": 10**9,
}
_ASIDE: dict[str, Any] = {"version": "1", "failed_inference_retries": 0, "grace_ms": 1000}
# Longer ladders than the delivered one, to see how often the router would climb.
_TALL = FLEET.model_copy(update={"tiers": FLEET.tiers | {"v": FLEET.tiers["m"], "e": FLEET.tiers["m"]}})


def taken_apart(name: str) -> tuple[str, Any, str]:
    """Return kind, class and own name of a threshold; a kind and class of no matter where it has none."""
    match name.split("."):
        case [own]:
            return "reg-doc-drafting", "B", own
        case [kind, own]:
            return kind, "B", own
        case [kind, safety_class, own]:
            return kind, safety_class, own
    raise AssertionError(name)


def parent_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object of the policy that holds a threshold."""
    found: dict[str, Any] = document
    for part in name.split(".")[:-1]:
        found = found["kinds"][part] if found is document else found["classes"][part]
    return found


def only(document: dict[str, Any], name: str) -> RoutingPolicy:
    """Return a policy in which this one threshold is the document's and all others are set aside."""
    kind, safety_class, own = taken_apart(name)
    value = {own: parent_of(document, name)[own]}
    depth = name.count(".")
    rule = _ASIDE_RULE | (value if depth == 2 else {})
    rules = _ASIDE_KIND | (value if depth == 1 else {}) | {"classes": {safety_class: rule}}
    return RoutingPolicy.model_validate(_ASIDE | (value if depth == 0 else {}) | {"kinds": {kind: rules}})


def _ladder(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    asked = lived(task, [HOPELESS] * LONG_NEWS, policy, _TALL).asked
    return bool([step.tier for step in asked] == expected)


def _counting(news: Any, *whys: str) -> Callable[..., bool]:
    def measured(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
        asked = lived(task, [news] * LONG_NEWS, policy, _TALL).asked
        counted = [step for step in asked if step.why in whys and (step.why == "escalation" or step.tier == "s")]
        return bool(len(counted) == expected)

    return measured


def _repairs(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    return bool(lived(task, [FAILED] * LONG_NEWS, policy, _TALL).slip.repairs == expected)


def _style(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    return bool(lived(task, [FAILED], policy).asked[-1].why == {"findings": "repair", "resample": "resample"}[expected])


def _tokens(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    def first(most: int) -> Any:
        tier = FLEET.tiers["s"]
        tier = tier.model_copy(update={"decode": tier.decode.model_copy(update={"max_tokens": most, "samples": 1})})
        return admitted(task, policy, FLEET.model_copy(update={"tiers": {"s": tier}}))

    over = first(expected + 1)
    return isinstance(first(expected), Ask) and isinstance(over, Abstain) and over.code == "over-budget"


def _person(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    slip = lived(task, (), policy).slip
    return bool(isinstance(after_verdict(slip, policy, FLEET, PASSED), AskPerson) == expected)


def _time(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    return bool(events.time_allowed_ms(task, policy) == expected)


def _longest(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    def allowed(wish: int) -> int:
        return events.time_allowed_ms(task.model_copy(update={"time_allowed_ms": wish}), policy)

    return bool(allowed(expected) == expected == allowed(expected + 1))


def _grace(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    unknown = task.model_copy(update={"kind": "poetry"})
    return bool(events.time_allowed_ms(unknown, policy) == expected)


def _review_time(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    memory = MemoryBroker()

    async def put_before_a_person() -> None:
        cause = await memory.bus("app-demo").publish(task)
        documents = events.Documents(policy=policy, fleet=FLEET)
        slip = lived(task, (), policy).slip
        heard = memory.received(TaskSubmittedV1, cause.envelope.data.subject())
        around = steps.Context(slip=slip, task=task, documents=documents, cause=heard)
        answer = Candidate(text=Text(text="yes", salt=SALT), finish_reason="stop")
        await steps.ask_person(around, answer, "because", PASSED, memory.bus("router"))

    asyncio.run(put_before_a_person())
    (asked,) = memory.of_type(ReviewRequestedV1)
    return bool((datetime.fromisoformat(asked.deadline) - BEGINNING).total_seconds() * 1000 == expected)


def _prompt_bytes(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    def asked(size: int) -> Any:
        return admitted(task.model_copy(update={"prompt": Text(text="x" * size, salt=SALT)}), policy)

    over = asked(expected + 1)
    return isinstance(asked(expected), Ask) and isinstance(over, Abstain) and over.code == "too-large"


def _findings_shown(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    prompt = compose(task, policy.kinds[task.kind], FINDINGS, "1").text
    return bool(sum(f": {finding.note}\n" in f"{prompt}\n" for finding in FINDINGS) == expected)


def _required_inputs(policy: RoutingPolicy, task: TaskSubmittedV1, expected: Any) -> bool:
    def step(names: set[str]) -> Any:
        return admitted(task.model_copy(update={"inputs": {n: Text(text="", salt=SALT) for n in names}}), policy)

    missing_one = [step(set(expected) - {name}) for name in expected]
    return isinstance(step(set(expected)), Ask) and all(isinstance(found, Fail) for found in missing_one)


MEASURES: dict[str, Callable[[RoutingPolicy, TaskSubmittedV1, Any], bool]] = {
    "failed_inference_retries": _counting(CRASHED, "retry"),
    "grace_ms": _grace,
    "prompt_bytes": _prompt_bytes,
    "findings_shown": _findings_shown,
    "required_inputs": _required_inputs,
    "ladder": _ladder,
    "repairs": _repairs,
    "repairs_per_tier": _counting(FAILED, "repair"),
    "repair_style": _style,
    "escalations": _counting(HOPELESS, "escalation"),
    "tokens": _tokens,
    "needs_person": _person,
    "time_allowed_ms": _time,
    "longest_time_allowed_ms": _longest,
    "review_time_ms": _review_time,
}


def holds(document: dict[str, Any], name: str) -> bool:
    """Tell whether the router behaves under this policy as the table says for one threshold."""
    kind, safety_class, own = taken_apart(name)
    try:
        policy = only(document, name)
    except ValidationError:  # a value that no policy may have
        return False
    return MEASURES[own](policy, submission(kind, safety_class), EXPECTED[name])


@pytest.mark.requirement("S2-policy")
@pytest.mark.parametrize("name", EXPECTED)
def test_threshold(name: str) -> None:
    kind, safety_class, own = taken_apart(name)
    assert MEASURES[own](only(DELIVERED, name), submission(kind, safety_class), EXPECTED[name]), (
        f"{name}: expected {EXPECTED[name]!r}, the policy says {parent_of(DELIVERED, name)[own]!r}"
    )


def numbers_in(value: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return everything in a policy that is a number, a choice or a list, by its dotted name."""
    if isinstance(value, dict):
        return {name: n for key, inner in value.items() for name, n in numbers_in(inner, (*path, key)).items()}
    return {".".join(part for part in path if part not in {"kinds", "classes"}): value}


def test_every_threshold_of_the_policy_is_named_here() -> None:
    words = {"document", "version", "instructions", "repair_instructions", "answer_schema_input", "prompt_inputs"}
    named = {name for name in numbers_in(DELIVERED) if ".adapters." not in name}  # names; the manifest pins them
    named = {name for name in named if not name.startswith("triage.")}  # test_triage_rule.py names those
    assert {name for name in named if name.rsplit(".", 1)[-1] not in words} == set(EXPECTED)


def as_expected() -> dict[str, Any]:
    """Return a policy that says what the table says, whatever the delivered one says meanwhile."""
    document: dict[str, Any] = copy.deepcopy(DELIVERED)
    for name, value in EXPECTED.items():
        parent_of(document, name)[name.rsplit(".", 1)[-1]] = value
    return document


def another(value: Any) -> list[Any]:
    """Return values that a threshold might be changed to."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return ["resample" if value == "findings" else "findings"]
    return [value[:-1], [*value, "extra"]]


@pytest.mark.requirement("S2-policy")
@pytest.mark.parametrize(
    "name", [name for name in EXPECTED if name.count(".") < 2 or name.startswith("reg-doc-drafting.C")]
)
def test_changing_one_number_of_a_policy_fails_exactly_the_test_of_its_name(name: str) -> None:
    own = name.rsplit(".", 1)[-1]
    for value in another(EXPECTED[name]):
        changed = as_expected()
        parent_of(changed, name)[own] = value
        assert [other for other in EXPECTED if not holds(changed, other)] == [name], f"{own} = {value!r}"
