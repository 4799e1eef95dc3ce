"""The next step of a task. Pure: no I/O, no clock, no chance; the same slip and the same news give the same step.

The smallest capable tier answers first. No check passed, no acceptance. Class C is always confirmed by a person. Every budget is
counted on the slip and bounded by signed policy, so every task ends.
"""

from collections.abc import Mapping
from typing import Literal

from tierproof_contracts.documents import ClassRule, FleetManifest, KindPolicy, RoutingPolicy
from tierproof_contracts.inference import NotCompleted
from tierproof_contracts.slip import Slip, Tier, Why
from tierproof_contracts.text import LARGEST_INLINE
from tierproof_contracts.verification import NotPassed, Passed, Unverifiable

from tierproof_router.choices import Abstain, Accept, Ask, AskPerson, Fail, Step
from tierproof_router.triage import is_riskier


def admit(slip: Slip, policy: RoutingPolicy, fleet: FleetManifest, inputs: Mapping[str, int], prompt: int) -> Step:
    """Decide the first step of an accepted task, from kind, class, and the bytes of its named inputs and its prompt."""
    kind = policy.kinds.get(slip.kind)
    if kind is None:
        return Abstain(code="unknown-kind", rule=f"policy knows no kind {slip.kind!r}")
    rule = kind.classes.get(slip.safety_class)
    if rule is None:
        return Abstain(code="unknown-kind", rule=f"policy has no rule for {slip.kind} at class {slip.safety_class}")
    missing = sorted(set(kind.required_inputs) - inputs.keys())
    if missing:
        return Fail(code="verification", rule=f"inputs.{missing[0]}: {slip.kind} cannot be checked without it; add it")
    shown = prompt + sum(inputs.get(name, 0) for name in kind.prompt_inputs)
    if shown > kind.prompt_bytes:
        limit = f"kinds.{slip.kind}.prompt_bytes allows {kind.prompt_bytes}"
        return Abstain(code="too-large", rule=f"prompt: {shown} bytes with its inputs, {limit}")
    if (size := prompt + sum(inputs.values())) > LARGEST_INLINE:
        return Abstain(code="too-large", rule=f"prompt and inputs: {size} bytes, {LARGEST_INLINE} may travel inline")
    tier = rule.ladder[0]
    return _ask(slip, kind, fleet, tier, "first", f"{slip.kind}/{slip.safety_class}: ladder starts at {tier}")


def after_failure(slip: Slip, policy: RoutingPolicy, fleet: FleetManifest, failure: NotCompleted) -> Step:
    """Decide what follows when a tier gave no answer."""
    kind, tier = policy.kinds[slip.kind], slip.attempts[-1].tier
    retries = sum(attempt.tier == tier and attempt.why == "retry" for attempt in slip.attempts)
    if failure.code == "deadline":
        return Abstain(code="deadline", rule=f"tier {tier} was asked in vain: {failure.detail}"[:500])
    if failure.code == "bad-schema":  # no tier can take it
        return Fail(code="inference", rule=f"bad-schema: {failure.detail}"[:500])
    if failure.another_try and retries < policy.failed_inference_retries:
        reason = f"tier {tier} {failure.code}: retry {retries + 1} of {policy.failed_inference_retries}"
        return _ask(slip, kind, fleet, tier, "retry", reason)
    step = _escalate(slip, kind, fleet, f"tier {tier} {failure.code}")
    code: Literal["no-worker", "inference"] = "no-worker" if failure.code in {"server-down", "crashed"} else "inference"
    return Fail(code=code, rule=f"{failure.code}: {failure.detail}"[:500]) if isinstance(step, Abstain) else step


def after_verdict(
    slip: Slip, policy: RoutingPolicy, fleet: FleetManifest, verdict: Passed | NotPassed | Unverifiable
) -> Step:
    """Decide what follows a verdict of the deterministic checks."""
    rule = rule_for(slip, policy)
    match verdict:
        case Unverifiable(reason=reason):
            return Fail(code="verification", rule=reason)
        case Passed(answer_index=index):
            # IEC 62304 class C is confirmed by a person, whatever a policy says.
            if rule.needs_person or slip.safety_class == "C" or is_riskier(slip, policy):
                return AskPerson(answer_index=index, rule=f"{slip.kind}/{slip.safety_class}: a person confirms")
            return Accept(answer_index=index, rule=f"{slip.kind}/{slip.safety_class}: every check passed")
        case NotPassed():
            return _repair(slip, policy.kinds[slip.kind], fleet)


def rule_for(slip: Slip, policy: RoutingPolicy) -> ClassRule:
    """Return the rule that an admitted task lives under; `admit` has made sure that there is one."""
    return policy.kinds[slip.kind].classes[slip.safety_class]


def _repair(slip: Slip, kind: KindPolicy, fleet: FleetManifest) -> Step:
    rule, tier = kind.classes[slip.safety_class], slip.attempts[-1].tier
    here = sum(attempt.tier == tier and attempt.why in {"repair", "resample"} for attempt in slip.attempts)
    if slip.repairs < rule.repairs and here < rule.repairs_per_tier:
        why: Why = "repair" if rule.repair_style == "findings" else "resample"
        return _ask(slip, kind, fleet, tier, why, f"checks failed: {why} {slip.repairs + 1} of {rule.repairs}")
    return _escalate(slip, kind, fleet, "checks failed")


def _escalate(slip: Slip, kind: KindPolicy, fleet: FleetManifest, because: str) -> Step:
    rule, tier = kind.classes[slip.safety_class], slip.attempts[-1].tier
    above = rule.ladder[rule.ladder.index(tier) + 1 :]
    if not above:
        return Abstain(code="exhausted", rule=f"{because}: no tier above {tier}")
    if slip.escalations >= rule.escalations:
        return Abstain(code="exhausted", rule=f"{because}: all {rule.escalations} escalations used")
    reason = f"{because}: escalation {slip.escalations + 1} of {rule.escalations}"
    return _ask(slip, kind, fleet, above[0], "escalation", reason)


def _ask(slip: Slip, kind: KindPolicy, fleet: FleetManifest, tier: Tier, why: Why, reason: str) -> Step:
    rule, adapter = kind.classes[slip.safety_class], kind.adapters.get(tier)
    if tier not in fleet.tiers or not {adapter} <= {None, *fleet.adapters}:
        lacks = f"adapter {adapter} for tier {tier}" if tier in fleet.tiers else f"tier {tier}"
        return Fail(code="no-worker", rule=f"{reason}; the fleet manifest has no {lacks}")
    cost = fleet.tiers[tier].decode.max_tokens * fleet.tiers[tier].decode.samples
    if slip.tokens_spent + cost > rule.tokens:
        return Abstain(code="over-budget", rule=f"{reason}; {slip.tokens_spent} + {cost} tokens exceed {rule.tokens}")
    return Ask(tier=tier, why=why, rule=reason)
