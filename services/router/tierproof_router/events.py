"""From a step to the event that carries it. Pure; salts and seeds follow from ids, times from the broker's."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tierproof_contracts.documents import FleetManifest, Reviewers, RoutingPolicy, TierSpec, TriageSpec
from tierproof_contracts.envelope import Citation
from tierproof_contracts.ids import UNDECLARED, request_id_of, written
from tierproof_contracts.inference import AdapterPin, Decode, InferenceRequestedV1, ModelPin
from tierproof_contracts.slip import Attempt, Slip
from tierproof_contracts.task import Abstained, Accepted, Failed, TaskAcceptedV1, TaskDecidedV1, TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import Candidate, Finding, VerificationRequestedV1

from tierproof_router.choices import Abstain, Ask, Fail
from tierproof_router.prompts import compose, unchanged

SEEDS = 2**53 - 64  # contracts allow seeds below 2**53, and sample i of at most 64 uses seed + i


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The documents that hold for a task."""

    policy: RoutingPolicy
    fleet: FleetManifest


def acceptance(
    task: TaskSubmittedV1,
    submission: Citation,
    stored_at: datetime,
    documents: tuple[RoutingPolicy, FleetManifest, Reviewers],
) -> TaskAcceptedV1:
    """Pin documents and deadline, counted from the moment at which the broker stored the submission."""
    policy, fleet, reviewers = documents
    allowed = time_allowed_ms(task, policy)
    return TaskAcceptedV1(
        task_id=task.task_id,
        tenant=task.tenant,
        kind=task.kind,
        safety_class=task.safety_class,
        submission=submission,
        policy=policy.digest(),
        fleet=fleet.digest(),
        reviewers=reviewers.digest(),
        accepted_at=written(stored_at),
        deadline=written(stored_at + timedelta(milliseconds=allowed)),
    )


def time_allowed_ms(task: TaskSubmittedV1, policy: RoutingPolicy) -> int:
    """Return the time that a task may take: what it asks for, within what its rule allows."""
    kind = policy.kinds.get(task.kind)
    rule = policy.triage if task.kind == UNDECLARED else kind.classes.get(task.safety_class) if kind else None
    if rule is None:
        return task.time_allowed_ms or policy.grace_ms
    return min(task.time_allowed_ms or rule.time_allowed_ms, rule.longest_time_allowed_ms)


def slip_of(accepted: TaskAcceptedV1, cites: tuple[Citation, ...]) -> Slip:
    """Return the slip with which a task begins."""
    return Slip(
        task_id=accepted.task_id,
        tenant=accepted.tenant,
        kind=accepted.kind,
        safety_class=accepted.safety_class,
        policy=accepted.policy,
        fleet=accepted.fleet,
        reviewers=accepted.reviewers,
        accepted_at=accepted.accepted_at,
        deadline=accepted.deadline,
        cites=cites,
    )


def citing(slip: Slip, *citations: Citation) -> Slip:
    """Return the slip with more evidence."""
    return slip.model_copy(update={"cites": (*slip.cites, *citations)})


def inference(
    step: Ask,
    slip: Slip,
    task: TaskSubmittedV1,
    documents: Documents,
    findings: Sequence[Finding] = (),
    before: InferenceRequestedV1 | None = None,
) -> InferenceRequestedV1:
    """Ask a tier; the slip on the request counts it. A retry says what the request `before` said, with a seed of its own."""
    number = len(slip.attempts) + 1
    request_id = request_id_of(slip.task_id, "inference", number)
    kind, tier = documents.policy.kinds[slip.kind], documents.fleet.tiers[step.tier]
    adapter = kind.adapters.get(step.tier)
    seed = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8]) % SEEDS
    repeated = before if step.why == "retry" else None
    shown = findings if step.why == "repair" else ()
    return InferenceRequestedV1(
        request_id=request_id,
        task_id=slip.task_id,
        tenant=slip.tenant,
        tier=step.tier,
        purpose="answer",
        prompt=repeated.prompt if repeated else compose(task, kind, shown, request_id),
        answer_schema=task.inputs.get(kind.answer_schema_input) if kind.answer_schema_input else None,
        model=_pin(tier, documents.fleet.adapters, adapter),
        decode=repeated.decode.model_copy(update={"seed": seed}) if repeated else _decode(tier, step, seed),
        deadline=slip.deadline,
        slip=_counted(slip, step, tier, request_id, adapter),
    )


def triage(slip: Slip, task: TaskSubmittedV1, spec: TriageSpec) -> InferenceRequestedV1:
    """Put a task without a kind to the triage model, word for word; the slip counts how often."""
    number = (slip.triaged or 0) + 1
    request_id = request_id_of(slip.task_id, "triage", number)
    return InferenceRequestedV1(
        request_id=request_id,
        task_id=slip.task_id,
        tenant=slip.tenant,
        tier=spec.tier,
        purpose="triage",
        prompt=unchanged(task, request_id),
        model=_pin(spec, {}, None),
        decode=Decode(max_tokens=spec.max_tokens, temperature_micro=0, seed=0),
        deadline=slip.deadline,
        slip=slip.model_copy(update={"triaged": number}),
    )


def _pin(tier: TierSpec | TriageSpec, adapters: Mapping[str, AdapterPin], adapter: str | None) -> ModelPin:
    return ModelPin(
        name=tier.model,
        weights=tier.weights,
        tokenizer=tier.tokenizer,
        engine=tier.engine,
        decode_mode=tier.decode_mode,
        adapter=adapters[adapter] if adapter else None,
    )


def _decode(tier: TierSpec, step: Ask, seed: int) -> Decode:
    decode = tier.decode
    # Greedy samples would all be the same answer.
    resampled = step.why == "resample" or (decode.samples > 1 and decode.temperature_micro == 0)
    return Decode(
        max_tokens=decode.max_tokens,
        temperature_micro=decode.resample_temperature_micro if resampled else decode.temperature_micro,
        top_p_micro=decode.top_p_micro,
        seed=seed,
        samples=decode.samples,
    )


def _counted(slip: Slip, step: Ask, tier: TierSpec, request_id: str, adapter: str | None) -> Slip:
    attempt = Attempt(
        number=len(slip.attempts) + 1,
        tier=step.tier,
        adapter=adapter,
        why=step.why,
        rule=step.rule[:200],
        request_id=request_id,
        max_tokens=tier.decode.max_tokens,
        samples=tier.decode.samples,
    )
    return slip.model_copy(
        update={
            "attempts": (*slip.attempts, attempt),
            "repairs": slip.repairs + (step.why in {"repair", "resample"}),
            "escalations": slip.escalations + (step.why == "escalation"),
            "tokens_spent": slip.tokens_spent + tier.decode.max_tokens * tier.decode.samples,
        }
    )


def verification(
    slip: Slip, task: TaskSubmittedV1, candidates: tuple[Candidate, ...], settled: Citation
) -> VerificationRequestedV1:
    """Ask for a verdict on the answers of the slip's last request."""
    return VerificationRequestedV1(
        request_id=request_id_of(slip.task_id, "verification", len(slip.attempts)),
        task_id=slip.task_id,
        tenant=slip.tenant,
        kind=slip.kind,
        candidates=candidates,
        inputs=task.inputs,
        inference=settled,
        deadline=slip.deadline,
        slip=slip,
    )


def decision(
    slip: Slip, outcome: Accepted | Abstained | Failed, because: str, review: str | None = None
) -> TaskDecidedV1:
    """Propose the task's outcome, with everything that led to it."""
    return TaskDecidedV1(
        task_id=slip.task_id,
        tenant=slip.tenant,
        kind=slip.kind,
        safety_class=slip.safety_class,
        outcome=outcome,
        because=because[:500],
        cites=slip.cites,
        review=review,
        slip=slip,
    )


def expiry(accepted: TaskAcceptedV1, acceptance: Citation, expired: Citation) -> TaskDecidedV1:
    """Propose that a task whose time is up gets no answer. What was tried meanwhile is in its story, not in this decision."""
    because = f"the deadline {accepted.deadline} passed"
    return TaskDecidedV1(
        task_id=accepted.task_id,
        tenant=accepted.tenant,
        kind=accepted.kind,
        safety_class=accepted.safety_class,
        outcome=Abstained(code="deadline", detail=because),
        because=because,
        cites=(accepted.submission, acceptance, expired),
    )


def declined(step: Abstain | Fail) -> Abstained | Failed:
    """Return the outcome of a task that gets no answer."""
    if isinstance(step, Abstain):
        return Abstained(code=step.code, detail=step.rule[:500])
    return Failed(code=step.code, detail=step.rule[:500])


def accepted(slip: Slip, answer: Text, confirmed_by: str | None = None) -> Accepted:
    """Return the outcome of a task whose answer passed its checks."""
    return Accepted(answer=answer.ref(), tier=slip.attempts[-1].tier, confirmed_by=confirmed_by)
