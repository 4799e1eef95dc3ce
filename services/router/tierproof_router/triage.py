"""What a task is that names no kind: asked of the triage model, believed within signed bounds. Pure, as `decide` is.

A reading never lowers anything: class and checks are the producer's and the policy's. Whatever is not a clear reading declines.
"""

from dataclasses import dataclass

from pydantic import ValidationError
from tierproof_contracts.documents import FleetManifest, RoutingPolicy, TriageSpec
from tierproof_contracts.inference import NotCompleted
from tierproof_contracts.slip import Slip
from tierproof_contracts.triage import TriageReading

from tierproof_router.choices import Abstain, Fail


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTriage:
    """Ask the triage model for the kind."""

    spec: TriageSpec
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The task goes on as if its producer had named this kind; `slip` carries the reading."""

    slip: Slip
    rule: str


def begin(policy: RoutingPolicy, fleet: FleetManifest, prompt: int) -> AskTriage | Abstain | Fail:
    """Decide the first step of a task without a kind, from the bytes of its prompt."""
    if policy.triage is None or fleet.triage is None:
        return Abstain(code="unknown-kind", rule="the task names no kind, and no triage model is in force; name one")
    if prompt > policy.triage.prompt_bytes:
        limit = f"triage.prompt_bytes allows {policy.triage.prompt_bytes}"
        return Abstain(code="too-large", rule=f"prompt: {prompt} bytes to read a kind from, {limit}; name the kind")
    if fleet.triage.tier not in fleet.tiers:
        return Fail(code="no-worker", rule=f"triage; the fleet manifest has no tier {fleet.triage.tier}")
    return AskTriage(spec=fleet.triage, rule="the task names no kind")


def after_failure(
    slip: Slip, policy: RoutingPolicy, fleet: FleetManifest, failure: NotCompleted
) -> AskTriage | Abstain | Fail:
    """Decide what follows when the triage model gave no reading: asked again as often as any inference, then declined."""
    if failure.code == "deadline":
        return Abstain(code="deadline", rule=f"the triage model was asked in vain: {failure.detail}"[:500])
    if failure.another_try and (slip.triaged or 0) <= policy.failed_inference_retries and fleet.triage is not None:
        retry = f"retry {slip.triaged} of {policy.failed_inference_retries}"
        return AskTriage(spec=fleet.triage, rule=f"triage {failure.code}: {retry}")
    code = "no-worker" if failure.code in {"server-down", "crashed"} else "inference"
    return Fail(code=code, rule=f"triage: {failure.code}: {failure.detail}"[:500])  # type: ignore[arg-type]  # one of two


def after_answer(slip: Slip, policy: RoutingPolicy, answer: str) -> Read | Abstain | Fail:
    """Decide whether what the triage model answered is believed."""
    bounds = policy.triage
    try:
        reading = TriageReading.model_validate_json(answer)
    except ValidationError as error:
        return Fail(code="inference", rule=f"the triage model's answer is no reading: {error.error_count()} faults")
    if bounds is None:
        return Fail(code="inference", rule="a reading was made, and the pinned policy has no bounds for it")
    if reading.out_of_domain_micro > bounds.highest_out_of_domain_micro:
        most = f"the policy takes at most {_share(bounds.highest_out_of_domain_micro)}; name the kind if it is one"
        return Abstain(
            code="out-of-domain", rule=f"triage: out of domain at {_share(reading.out_of_domain_micro)}, {most}"
        )
    if reading.kind_micro < bounds.lowest_kind_micro:
        least = f"the policy asks for {_share(bounds.lowest_kind_micro)}; name the kind"
        return Abstain(
            code="out-of-domain", rule=f"triage read {reading.kind} at {_share(reading.kind_micro)}, {least}"
        )
    told = f"triage read {reading.kind} at {_share(reading.kind_micro)}, risk {reading.risk}"
    return Read(slip=slip.model_copy(update={"kind": reading.kind, "reading": reading}), rule=told)


def is_riskier(slip: Slip, policy: RoutingPolicy) -> bool:
    """Tell whether the request speaks of more harm than its class says, where the policy wants a person for that."""
    wanted = policy.triage is not None and policy.triage.riskier_needs_person
    return wanted and slip.reading is not None and slip.reading.risk > slip.safety_class


def _share(micro: int) -> str:
    return f"{micro / 1_000_000:.3f}"
