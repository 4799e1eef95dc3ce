"""Laws of the next step, over any policy and any news: tasks end, budgets hold, class C meets a person, a replay is the same."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tierproof_contracts.documents import ClassRule, RoutingPolicy
from tierproof_contracts.inference import NotCompleted
from tierproof_contracts.slip import SafetyClass
from tierproof_contracts.text import Text
from tierproof_router.choices import Abstain, Accept, Ask, AskPerson, Fail

from tests.unit.router.lives import (
    ALL_NEWS,
    BAD_SCHEMA,
    CLASSES,
    CRASHED,
    FAILED,
    FINDINGS,
    FLEET,
    HOPELESS,
    KINDS,
    LATE,
    PASSED,
    POLICY,
    SALT,
    UNVERIFIABLE,
    Life,
    News,
    admitted,
    lived,
    submission,
)

LONGEST_LIFE = 40
ENDLESS_TROUBLE = (FAILED, CRASHED, HOPELESS)
ladders = st.sampled_from([("s",), ("m",), ("s", "l"), ("s", "m"), ("m", "l"), ("s", "m", "l")])
rules = st.builds(
    ClassRule,
    ladder=ladders,
    repairs=st.integers(0, 2),
    repairs_per_tier=st.integers(0, 2),
    repair_style=st.sampled_from(["findings", "resample"]),
    escalations=st.integers(0, 3),
    tokens=st.integers(1, 2500),
    needs_person=st.booleans(),
    time_allowed_ms=st.just(1000),
    longest_time_allowed_ms=st.just(1000),
    review_time_ms=st.just(1000),
)
# Careless ones included: `model_copy` does not validate, as if a policy had got past the reader.
policies = st.builds(
    lambda rule, retries: POLICY.model_copy(
        update={
            "failed_inference_retries": retries,
            "kinds": {
                kind: known.model_copy(update={"classes": dict.fromkeys(CLASSES, rule)})
                for kind, known in POLICY.kinds.items()
            },
        }
    ),
    rules,
    st.integers(0, 3),
)
tasks = st.builds(submission, st.sampled_from(KINDS), st.sampled_from(CLASSES))
news = st.lists(st.sampled_from(ALL_NEWS), max_size=LONGEST_LIFE)
trouble = st.lists(st.sampled_from(ENDLESS_TROUBLE), min_size=LONGEST_LIFE, max_size=LONGEST_LIFE)


def law(**strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Try a law on many inputs, without a time limit per try: a busy machine breaks none."""

    def tried(test: Callable[..., None]) -> Callable[..., None]:
        return settings(deadline=None)(given(**strategies)(test))

    return tried


@pytest.mark.requirement("P6", "A6")
@law(task=tasks, policy=policies)
def test_the_first_tier_asked_is_the_first_of_the_ladder(task: Any, policy: RoutingPolicy) -> None:
    step, rule = admitted(task, policy), policy.kinds[task.kind].classes[task.safety_class]
    if isinstance(step, Ask):
        assert (step.tier, step.why) == (rule.ladder[0], "first")
    else:
        assert isinstance(step, Abstain)
        assert step.code == "over-budget"


@pytest.mark.requirement("S9-gate", "A7")
@law(task=tasks, policy=policies, heard=trouble)
def test_any_trouble_ends_in_finitely_many_steps_with_one_outcome(
    task: Any, policy: RoutingPolicy, heard: list[News]
) -> None:
    life = lived(task, heard, policy)
    assert isinstance(life.last, Abstain | Fail)
    assert [isinstance(step, Ask) for step in life.steps] == [True] * (len(life.steps) - 1) + [False]


@pytest.mark.requirement("P2")
@law(task=tasks, policy=policies, heard=news)
def test_an_answer_is_taken_only_on_the_very_verdict_that_passed_it(
    task: Any, policy: RoutingPolicy, heard: list[News]
) -> None:
    life = lived(task, heard, policy)
    taken = [number for number, step in enumerate(life.steps) if isinstance(step, Accept | AskPerson)]
    assert all(heard[number - 1] is PASSED for number in taken)
    assert [number for number, one in enumerate(heard[: len(life.steps) - 1], 1) if one is PASSED] == taken


@pytest.mark.requirement("S9-classC", "P3")
@law(kind=st.sampled_from(KINDS), policy=policies, heard=news)
def test_class_c_is_never_accepted_without_a_person_whatever_a_policy_says(
    kind: str, policy: RoutingPolicy, heard: list[News]
) -> None:
    assert not any(isinstance(step, Accept) for step in lived(submission(kind, "C"), heard, policy).steps)


@pytest.mark.requirement("P3", "S9-classC")
@law(kind=st.sampled_from(KINDS), heard=news)
def test_a_higher_class_is_never_more_lenient_in_the_delivered_policy(kind: str, heard: list[News]) -> None:
    lives = {letter: lived(submission(kind, letter), heard) for letter in CLASSES}
    alone = {letter: isinstance(life.last, Accept) for letter, life in lives.items()}
    answered = {letter: isinstance(life.last, Accept | AskPerson) for letter, life in lives.items()}
    assert alone["C"] <= alone["B"] <= alone["A"]
    assert answered["C"] <= answered["B"] <= answered["A"]


@pytest.mark.requirement("S10-escalation-budget")
@law(task=tasks, policy=policies, heard=news)
def test_every_budget_holds_at_every_request(task: Any, policy: RoutingPolicy, heard: list[News]) -> None:
    rule = policy.kinds[task.kind].classes[task.safety_class]
    for request in lived(task, heard, policy).requests:
        slip = request.slip
        whys = [attempt.why for attempt in slip.attempts]
        assert slip.repairs == sum(why in {"repair", "resample"} for why in whys) <= min(rule.repairs, 2)
        assert slip.escalations == whys.count("escalation") <= rule.escalations
        assert slip.tokens_spent == sum(one.max_tokens * one.samples for one in slip.attempts) <= rule.tokens
        for tier in rule.ladder:
            here = [attempt.why for attempt in slip.attempts if attempt.tier == tier]
            assert here.count("retry") <= policy.failed_inference_retries
            assert sum(why in {"repair", "resample"} for why in here) <= rule.repairs_per_tier


@pytest.mark.requirement("S10-escalation-budget")
@law(task=tasks, policy=policies, heard=news)
def test_the_ladder_is_climbed_by_escalations_alone_and_one_rung_at_a_time(
    task: Any, policy: RoutingPolicy, heard: list[News]
) -> None:
    ladder = policy.kinds[task.kind].classes[task.safety_class].ladder
    asked = lived(task, heard, policy).asked
    for before, after in itertools.pairwise(asked):
        climbed = ladder.index(after.tier) - ladder.index(before.tier)
        assert climbed == (1 if after.why == "escalation" else 0)


@pytest.mark.requirement("S10-escalation-budget")
@pytest.mark.parametrize(("tokens", "step"), [(96, "Ask"), (95, "Abstain")])
def test_the_token_budget_covers_a_step_to_the_last_token(tokens: int, step: str) -> None:
    kind = POLICY.kinds["reg-doc-drafting"]
    rule = kind.classes["B"].model_copy(update={"tokens": tokens})
    kinds = {"reg-doc-drafting": kind.model_copy(update={"classes": {"B": rule}})}
    found = admitted(submission(), POLICY.model_copy(update={"kinds": kinds}))
    assert type(found).__name__ == step
    if isinstance(found, Abstain):
        assert (found.code, found.rule.endswith("0 + 96 tokens exceed 95")) == ("over-budget", True)


@pytest.mark.requirement("BUS-delivery", "S1.2-pinned")
@law(task=tasks, policy=policies, heard=news)
def test_a_replay_gives_the_same_steps_and_the_same_bytes(task: Any, policy: RoutingPolicy, heard: list[News]) -> None:
    def told(life: Life) -> list[str]:
        return [request.model_dump_json() for request in life.requests]

    once, again = lived(task, heard, policy), lived(task, heard, policy)
    assert once.steps == again.steps
    assert told(once) == told(again)
    assert [one.prompt.ref() for one in once.requests] == [one.prompt.ref() for one in again.requests]


@pytest.mark.requirement("BUS-delivery")
@law(task=tasks, one=policies, other=policies, heard=news, heard_else=news)
def test_request_ids_follow_from_the_attempt_and_not_from_what_was_chosen(
    task: Any, one: RoutingPolicy, other: RoutingPolicy, heard: list[News], heard_else: list[News]
) -> None:
    ids = [request.request_id for request in lived(task, heard, one).requests]
    others = [request.request_id for request in lived(task, heard_else, other).requests]
    assert len(set(ids)) == len(ids)
    both = min(len(ids), len(others))
    assert ids[:both] == others[:both]


@pytest.mark.requirement("S1.2-pinned")
@law(task=tasks, policy=policies, heard=news)
def test_seeds_differ_between_attempts_and_fit_the_contract_with_every_sample(
    task: Any, policy: RoutingPolicy, heard: list[News]
) -> None:
    decodes = [request.decode for request in lived(task, heard, policy).requests]
    assert len({decode.seed for decode in decodes}) == len(decodes)
    assert all(decode.seed + decode.samples <= 2**53 for decode in decodes)


@pytest.mark.requirement("P2")
@law(task=tasks, policy=policies, heard=st.lists(st.sampled_from([FAILED, CRASHED]), max_size=LONGEST_LIFE))
def test_findings_stand_in_repairs_told_what_was_wrong_and_nowhere_else(
    task: Any, policy: RoutingPolicy, heard: list[News]
) -> None:
    shown = False
    for request in lived(task, heard, policy).requests:
        why = request.slip.attempts[-1].why
        shown = shown if why == "retry" else why == "repair"
        assert (FINDINGS[0].note in request.prompt.text) == shown


@pytest.mark.requirement("P2")
@law(task=tasks, policy=policies)
def test_checks_that_cannot_run_end_the_task_without_an_answer(task: Any, policy: RoutingPolicy) -> None:
    life = lived(task, [UNVERIFIABLE], policy)
    if life.requests:
        assert life.last == Fail(code="verification", rule=UNVERIFIABLE.reason)


@pytest.mark.parametrize("safety_class", CLASSES)
def test_a_class_that_the_kind_has_no_rule_for_is_declined_by_name(safety_class: SafetyClass) -> None:
    kind = POLICY.kinds["embedded-fw-c"]
    others = {letter: rule for letter, rule in kind.classes.items() if letter != safety_class}
    policy = POLICY.model_copy(update={"kinds": {"embedded-fw-c": kind.model_copy(update={"classes": others})}})
    step = admitted(submission("embedded-fw-c", safety_class), policy)
    assert step == Abstain(code="unknown-kind", rule=f"policy has no rule for embedded-fw-c at class {safety_class}")


@pytest.mark.requirement("P2")
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in POLICY.kinds[kind].required_inputs]
)
def test_each_missing_input_is_named(kind: str, name: str) -> None:
    whole = submission(kind)
    without = {known: text for known, text in whole.inputs.items() if known != name}
    step = admitted(submission(kind, inputs=without))
    assert isinstance(step, Fail)
    assert (step.code, step.rule.partition(":")[0]) == ("verification", f"inputs.{name}")


@law(size=st.integers(0, 40_000))
def test_a_prompt_is_taken_up_to_its_limit_in_bytes_and_not_in_letters(size: int) -> None:
    words = Text(text="ä" * (size // 2) + "a" * (size % 2), salt=SALT)
    step = admitted(submission(prompt=words))
    limit = POLICY.kinds["reg-doc-drafting"].prompt_bytes
    assert isinstance(step, Ask) == (size <= limit)
    if isinstance(step, Abstain):
        assert (step.code, str(size) in step.rule, str(limit) in step.rule) == ("too-large", True, True)


@pytest.mark.requirement("S10-escalation-budget")
@law(task=tasks, policy=policies, heard=trouble)
def test_only_a_failure_that_may_pass_is_tried_again(task: Any, policy: RoutingPolicy, heard: list[News]) -> None:
    steps = lived(task, heard, policy).steps
    again = [number for number, step in enumerate(steps) if isinstance(step, Ask) and step.why == "retry"]
    assert all(heard[number - 1] is CRASHED for number in again)


@pytest.mark.requirement("S9-gate")
@pytest.mark.parametrize(
    ("failure", "ending"), [(LATE, (Abstain, "deadline")), (BAD_SCHEMA, (Fail, "inference"))], ids=["late", "schema"]
)
@law(task=tasks, policy=policies)
def test_what_no_other_tier_can_mend_ends_the_task(
    failure: NotCompleted, ending: Any, task: Any, policy: RoutingPolicy
) -> None:
    life = lived(task, [failure], policy)
    if life.requests:
        assert isinstance(life.last, Abstain | Fail)
        assert (type(life.last), life.last.code) == ending
        assert failure.detail in life.last.rule


@law(task=tasks, policy=policies, heard=news)
def test_whatever_is_decided_fits_the_contract(task: Any, policy: RoutingPolicy, heard: list[News]) -> None:
    """A reason longer than its field would crash the handler and lose the step."""
    for step in lived(task, heard, policy).steps:
        assert 0 < len(step.rule) <= 500


def test_the_fleet_that_the_laws_run_on_has_every_tier_of_their_ladders() -> None:
    assert {"s", "m", "l"} <= FLEET.tiers.keys()
