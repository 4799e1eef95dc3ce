"""The next step of a task, as tables and laws."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tierproof_contracts.documents import FleetManifest, RoutingPolicy
from tierproof_contracts.inference import NotCompleted
from tierproof_contracts.slip import Attempt, SafetyClass, Slip
from tierproof_contracts.text import LARGEST_INLINE
from tierproof_contracts.verification import CheckReport, Finding, NotPassed, Passed, Unverifiable
from tierproof_router.choices import Abstain, Accept, Ask, AskPerson, Fail, Step
from tierproof_router.decide import admit, after_failure, after_verdict

FLEET_FOLDER = Path(__file__).resolve().parents[3] / "infra" / "fleet"
POLICY = RoutingPolicy.model_validate_json((FLEET_FOLDER / "routing-policy.json").read_bytes())
FLEET = FleetManifest.model_validate_json((FLEET_FOLDER / "fleet-manifest.json").read_bytes())
KINDS = tuple(POLICY.kinds)
INSTANT = "2026-11-01T12:00:00Z"
PASSED = Passed(answer_index=0, checks=(CheckReport(check="schema", passed=True),))
FAILED = NotPassed(findings=((Finding(code="schema", where="/text", note="is missing"),),), nearest=0)
CRASHED = NotCompleted(code="crashed", detail="gone", another_try=True)
HOPELESS = NotCompleted(code="unknown-adapter", detail="no such adapter", another_try=False)
NEWS = st.lists(st.sampled_from([PASSED, FAILED, CRASHED, HOPELESS]), max_size=12)


def slip(kind: str = "reg-doc-drafting", safety_class: SafetyClass = "B", **changes: Any) -> Slip:
    fields: dict[str, Any] = {
        "task_id": "demo_" + "0" * 32,
        "tenant": "demo",
        "kind": kind,
        "safety_class": safety_class,
        "policy": POLICY.digest(),
        "fleet": FLEET.digest(),
        "reviewers": POLICY.digest(),
        "accepted_at": INSTANT,
        "deadline": INSTANT,
    }
    return Slip.model_validate(fields | changes)


def asked(before: Slip, step: Ask, fleet: FleetManifest = FLEET) -> Slip:
    """Return the slip after a request, as the router's events count it."""
    decode = fleet.tiers[step.tier].decode
    attempt = Attempt(
        number=len(before.attempts) + 1,
        tier=step.tier,
        why=step.why,
        rule=step.rule[:200],
        request_id="00000000-0000-4000-8000-000000000000",
        max_tokens=decode.max_tokens,
        samples=decode.samples,
    )
    return before.model_copy(
        update={
            "attempts": (*before.attempts, attempt),
            "repairs": before.repairs + (step.why in {"repair", "resample"}),
            "escalations": before.escalations + (step.why == "escalation"),
            "tokens_spent": before.tokens_spent + decode.max_tokens * decode.samples,
        }
    )


def inputs_of(kind: str, size: int = 1) -> dict[str, int]:
    """Return the required inputs of a kind by name, with their bytes."""
    return dict.fromkeys(POLICY.kinds[kind].required_inputs, size)


def admitted(kind: str, safety_class: SafetyClass) -> Step:
    return admit(slip(kind, safety_class), POLICY, FLEET, inputs_of(kind), 10)


def lived(
    kind: str, safety_class: SafetyClass, news: list[Any], policy: RoutingPolicy = POLICY
) -> tuple[list[Step], Slip]:
    """Return the steps of a task that hears this news, until it ends or the news does."""
    now = slip(kind, safety_class)
    steps: list[Step] = [admit(now, policy, FLEET, inputs_of(kind), 10)]
    for each in news:
        step = steps[-1]
        if not isinstance(step, Ask):
            break
        now = asked(now, step)
        if isinstance(each, NotCompleted):
            steps.append(after_failure(now, policy, FLEET, each))
        else:
            steps.append(after_verdict(now, policy, FLEET, each))
    if isinstance(steps[-1], Ask):
        now = asked(now, steps[-1])
    return steps, now


@pytest.mark.requirement("P6")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("safety_class", ["A", "B", "C"])
def test_the_smallest_tier_answers_first(kind: str, safety_class: SafetyClass) -> None:
    step = admitted(kind, safety_class)
    assert isinstance(step, Ask)
    assert (step.tier, step.why) == ("s", "first")


@pytest.mark.requirement("A7")
def test_an_unknown_kind_is_declined_by_name() -> None:
    step = admit(slip("poetry"), POLICY, FLEET, {}, 1)
    assert step == Abstain(code="unknown-kind", rule="policy knows no kind 'poetry'")


@pytest.mark.requirement("P2")
@pytest.mark.parametrize("kind", KINDS)
def test_a_task_without_what_its_checks_need_is_not_asked(kind: str) -> None:
    step = admit(slip(kind), POLICY, FLEET, {}, 1)
    assert isinstance(step, Fail)
    assert step.code == "verification"
    assert step.rule.startswith(f"inputs.{min(POLICY.kinds[kind].required_inputs)}:")


def test_a_prompt_above_the_limit_is_declined_and_one_at_the_limit_is_not() -> None:
    limit = POLICY.kinds["dicom-adjacent"].prompt_bytes
    inputs = inputs_of("dicom-adjacent")
    assert isinstance(admit(slip("dicom-adjacent"), POLICY, FLEET, inputs, limit), Ask)
    step = admit(slip("dicom-adjacent"), POLICY, FLEET, inputs, limit + 1)
    assert isinstance(step, Abstain)
    assert (step.code, f"{limit + 1} bytes" in step.rule) == ("too-large", True)


def test_an_input_that_the_prompt_shows_counts_as_prompt() -> None:
    kind = POLICY.kinds["dicom-adjacent"].model_copy(update={"prompt_inputs": ("question",), "prompt_bytes": 100})
    policy = POLICY.model_copy(update={"kinds": {"dicom-adjacent": kind}})
    shown = [admit(slip("dicom-adjacent"), policy, FLEET, {"question": size}, 50) for size in (50, 51)]
    assert isinstance(shown[0], Ask)
    assert isinstance(shown[1], Abstain)


def test_texts_that_no_event_may_carry_are_declined_before_anybody_works_on_them() -> None:
    inputs = inputs_of("embedded-fw-c", LARGEST_INLINE // 2)
    assert isinstance(admit(slip("embedded-fw-c"), POLICY, FLEET, inputs, 0), Ask)
    step = admit(slip("embedded-fw-c"), POLICY, FLEET, inputs, 1)
    assert isinstance(step, Abstain)
    assert step.code == "too-large"


@pytest.mark.requirement("S9-classC")
@pytest.mark.requirement("P3")
@pytest.mark.parametrize("kind", KINDS)
def test_class_c_goes_to_a_person_whatever_the_policy_says(kind: str) -> None:
    rule = POLICY.kinds[kind].classes["C"].model_copy(update={"needs_person": False})
    kinds = {kind: POLICY.kinds[kind].model_copy(update={"classes": {"C": rule}})}
    careless = POLICY.model_copy(update={"kinds": kinds})
    steps, _ = lived(kind, "C", [PASSED], careless)
    assert isinstance(steps[-1], AskPerson)


@pytest.mark.requirement("S9-classC")
def test_a_policy_that_spares_class_c_a_person_cannot_be_read() -> None:
    document = POLICY.model_dump(mode="json")
    document["kinds"]["embedded-fw-c"]["classes"]["C"]["needs_person"] = False
    with pytest.raises(ValueError, match="class C is confirmed by a person"):
        RoutingPolicy.model_validate(document)


@pytest.mark.requirement("P2")
@given(kind=st.sampled_from(KINDS), safety_class=st.sampled_from(["A", "B", "C"]), news=NEWS)
def test_nothing_is_accepted_without_a_passed_check(kind: str, safety_class: SafetyClass, news: list[Any]) -> None:
    steps, _ = lived(kind, safety_class, news)
    if isinstance(steps[-1], Accept | AskPerson):
        assert news[len(steps) - 2] == PASSED


@pytest.mark.requirement("P3")
@given(kind=st.sampled_from(KINDS), news=NEWS)
def test_a_higher_class_never_gets_more_autonomy(kind: str, news: list[Any]) -> None:
    def alone(safety_class: SafetyClass) -> bool:
        return isinstance(lived(kind, safety_class, news)[0][-1], Accept)

    assert not alone("C")
    assert alone("B") <= alone("A")


@pytest.mark.requirement("S10-escalation-budget")
@given(kind=st.sampled_from(KINDS), safety_class=st.sampled_from(["A", "B", "C"]), news=NEWS)
def test_budgets_hold_and_the_ladder_is_only_climbed(kind: str, safety_class: SafetyClass, news: list[Any]) -> None:
    rule = POLICY.kinds[kind].classes[safety_class]
    steps, after = lived(kind, safety_class, news)
    climbed = [rule.ladder.index(step.tier) for step in steps if isinstance(step, Ask)]
    assert climbed == sorted(climbed)
    assert after.repairs <= min(rule.repairs, 2)
    assert after.escalations <= rule.escalations
    assert after.tokens_spent <= rule.tokens


@pytest.mark.requirement("S9-gate")
@settings(max_examples=50)
@given(
    kind=st.sampled_from(KINDS),
    safety_class=st.sampled_from(["A", "B", "C"]),
    news=st.lists(st.sampled_from([FAILED, CRASHED, HOPELESS]), min_size=30, max_size=30),
)
def test_every_task_ends(kind: str, safety_class: SafetyClass, news: list[Any]) -> None:
    steps, _ = lived(kind, safety_class, news)
    assert isinstance(steps[-1], Abstain | Fail)
    assert sum(not isinstance(step, Ask) for step in steps) == 1


@pytest.mark.requirement("S9-gate")
def test_failed_checks_lead_through_repair_and_escalation_to_abstention() -> None:
    steps, _ = lived("reg-doc-drafting", "B", [FAILED] * 10)
    told = [(step.tier, step.why) for step in steps if isinstance(step, Ask)]
    assert told == [("s", "first"), ("s", "repair"), ("m", "escalation"), ("m", "repair"), ("l", "escalation")]
    assert isinstance(steps[-1], Abstain)
    assert steps[-1].code == "exhausted"


def test_dicom_answers_are_sampled_anew_instead_of_told_what_was_wrong() -> None:
    steps, _ = lived("dicom-adjacent", "A", [FAILED])
    assert isinstance(steps[-1], Ask)
    assert steps[-1].why == "resample"


def test_a_server_that_gave_no_answer_is_asked_again_once_then_the_next_tier() -> None:
    steps, _ = lived("reg-doc-drafting", "A", [CRASHED, CRASHED])
    assert [(step.tier, step.why) for step in steps if isinstance(step, Ask)] == [
        ("s", "first"),
        ("s", "retry"),
        ("m", "escalation"),
    ]


@pytest.mark.parametrize(
    ("code", "ending"),
    [("deadline", ("abstained", "deadline")), ("bad-schema", ("failed", "inference"))],
)
def test_some_failures_end_the_task_at_once(code: Any, ending: tuple[str, str]) -> None:
    steps, _ = lived("reg-doc-drafting", "A", [NotCompleted(code=code, detail="why", another_try=True)])
    step = steps[-1]
    assert isinstance(step, Abstain | Fail)
    assert ("abstained" if isinstance(step, Abstain) else "failed", step.code) == ending


def test_servers_that_are_down_end_as_no_worker_and_not_as_a_wrong_answer() -> None:
    steps, _ = lived("reg-doc-drafting", "A", [CRASHED] * 10)
    assert steps[-1] == Fail(code="no-worker", rule="crashed: gone")


@pytest.mark.requirement("P2")
def test_checks_that_cannot_run_are_never_a_pass() -> None:
    steps, _ = lived("embedded-fw-c", "A", [Unverifiable(reason="inputs.signature: is missing")])
    assert steps[-1] == Fail(code="verification", rule="inputs.signature: is missing")


@pytest.mark.requirement("S10-escalation-budget")
def test_a_step_that_the_token_budget_does_not_cover_is_declined() -> None:
    rule = replace_rule("reg-doc-drafting", "A", tokens=FLEET.tiers["s"].decode.max_tokens)
    steps, _ = lived("reg-doc-drafting", "A", [FAILED], rule)
    assert isinstance(steps[-1], Abstain)
    assert steps[-1].code == "over-budget"


def replace_rule(kind: str, safety_class: SafetyClass, **changes: Any) -> RoutingPolicy:
    """Return the delivered policy with one rule changed."""
    before = POLICY.kinds[kind]
    rule = before.classes[safety_class].model_copy(update=changes)
    changed = before.model_copy(update={"classes": before.classes | {safety_class: rule}})
    return POLICY.model_copy(update={"kinds": POLICY.kinds | {kind: changed}})


@pytest.mark.requirement("S2-policy")
@given(kind=st.sampled_from(KINDS), safety_class=st.sampled_from(["A", "B", "C"]), news=NEWS)
def test_the_same_news_gives_the_same_steps(kind: str, safety_class: SafetyClass, news: list[Any]) -> None:
    assert lived(kind, safety_class, news) == lived(kind, safety_class, news)


def test_a_tier_that_the_fleet_does_not_have_is_no_worker() -> None:
    without = FLEET.model_copy(update={"tiers": {name: tier for name, tier in FLEET.tiers.items() if name != "s"}})
    step = admit(slip(), POLICY, without, inputs_of("reg-doc-drafting"), 1)
    assert isinstance(step, Fail)
    assert step.code == "no-worker"


@pytest.mark.requirement("S2-serving")
def test_an_adapter_that_the_fleet_does_not_have_is_no_worker_and_never_the_bare_base() -> None:
    kinds = {name: kind.model_copy(update={"adapters": {"s": "unknown"}}) for name, kind in POLICY.kinds.items()}
    policy = POLICY.model_copy(update={"kinds": kinds})
    step = admit(slip(), policy, FLEET, inputs_of("reg-doc-drafting"), 1)
    assert isinstance(step, Fail)
    assert (step.code, step.rule.endswith("no adapter unknown for tier s")) == ("no-worker", True)


def test_steps_are_values() -> None:
    step = Ask(tier="s", why="first", rule="because")
    assert replace(step) == step
    with pytest.raises(AttributeError):
        step.tier = "l"  # type: ignore[misc]  # frozen: that is what is shown
