"""The handlers on a broker in memory: deliveries that come twice, late, after a crash or after a change of policy."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tierproof_bus import Bus, Received, Transient
from tierproof_bus.documents import PAYLOAD_TYPE
from tierproof_bus.testing import MemoryBroker
from tierproof_contracts import subjects
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import (
    Document,
    DsseEnvelope,
    FleetManifest,
    PolicyPublishedV1,
    Reviewers,
    RoutingPolicy,
)
from tierproof_contracts.ids import request_id_of, task_id_of
from tierproof_contracts.incident import PublicationRefusedV1
from tierproof_contracts.inference import Answer, Completed, InferenceRequestedV1, InferenceSettledV1
from tierproof_contracts.review import ReviewRequestedV1
from tierproof_contracts.task import Abstained, Accepted, TaskAcceptedV1, TaskDecidedV1, TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import (
    CheckReport,
    Finding,
    NotPassed,
    Passed,
    VerificationRequestedV1,
    VerificationSettledV1,
)
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_router import handlers, steps

FOLDER = Path(__file__).resolve().parents[3] / "infra" / "fleet"
POLICY = RoutingPolicy.model_validate_json((FOLDER / "routing-policy.json").read_bytes())
FLEET = FleetManifest.model_validate_json((FOLDER / "fleet-manifest.json").read_bytes())
KEY = Ed25519Signer.from_seed(b"\x01" * 32)
KIND = "reg-doc-drafting"
TASK = task_id_of("acme", "1")
SALT = "ab" * 16
WRONG = NotPassed(findings=((Finding(code="rule", where="/text", note="must say shall"),),), nearest=0)
PASSED = Passed(answer_index=0, checks=(CheckReport(check="rule", passed=True),))

pytestmark = pytest.mark.requirement("BUS-delivery")


class Stage:
    """A broker in memory, the router's bus, and the words of everybody else."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.router = self.broker.bus("router", {"registry": Ed25519Verifier(KEY.public_key)})

    async def publish(self, document: Document, name: Any) -> None:
        payload = canonical_json(document.model_dump(mode="json", exclude_none=True))
        envelope = DsseEnvelope.model_validate(sign_envelope(PAYLOAD_TYPE, payload, [KEY]))
        published = PolicyPublishedV1(name=name, digest=document.digest(), envelope=envelope)
        await self.broker.bus("registry").publish(published)

    async def change_policy(self) -> None:
        """Bring another policy into force: one tier, other times, no repairs."""
        kind = POLICY.kinds[KIND]
        rule = kind.classes["B"].model_copy(update={"ladder": ("m",), "repairs": 0, "time_allowed_ms": 1000})
        kinds = POLICY.kinds | {KIND: kind.model_copy(update={"classes": {"B": rule}})}
        await self.publish(POLICY.model_copy(update={"version": "2", "kinds": kinds}), "routing-policy")

    async def submitted(self, safety_class: Any = "B") -> Received[TaskSubmittedV1]:
        task = TaskSubmittedV1(
            tenant="acme",
            task_id=TASK,
            kind=KIND,
            safety_class=safety_class,
            prompt=Text(text="Write REQ-1.", salt=SALT),
            inputs={name: Text(text="{}", salt=SALT) for name in POLICY.kinds[KIND].required_inputs},
            actor="tester",
        )
        await self.broker.bus("app-acme").publish(task)
        return self.broker.received(TaskSubmittedV1, task.subject())

    def asked(self, number: int) -> Received[InferenceRequestedV1]:
        request_id = request_id_of(TASK, "inference", number)
        (asked,) = [each for each in self.broker.of_type(InferenceRequestedV1) if each.request_id == request_id]
        return self.broker.received(InferenceRequestedV1, asked.subject())

    async def answered(self, asked: Received[InferenceRequestedV1]) -> Received[InferenceSettledV1]:
        told = asked.data
        answer = Answer(text=Text(text="answer", salt=SALT), finish_reason="stop", seed=1)
        done = Completed(answers=(answer,), model=told.model, generation_ms=1, replica="r1")
        settled = InferenceSettledV1(
            request_id=told.request_id, task_id=TASK, tenant="acme", tier=told.tier, settlement=done
        )
        await self.broker.bus(f"inference-worker-{told.tier}").publish(settled, cause=asked)
        return self.broker.received(InferenceSettledV1, settled.subject())

    async def judged(self, number: int, verdict: Any) -> Received[VerificationSettledV1]:
        request_id = request_id_of(TASK, "verification", number)
        checks = self.broker.received(VerificationRequestedV1, subjects.verification_requested(KIND, request_id))
        settled = VerificationSettledV1(
            request_id=request_id,
            task_id=TASK,
            tenant="acme",
            kind=KIND,
            verdict=verdict,
            verifier="scripted/1",
            checking_ms=1,
        )
        await self.broker.bus("verifier").publish(settled, cause=checks)
        return self.broker.received(VerificationSettledV1, settled.subject())

    def expired(self) -> Received[TaskExpiredV1]:
        """Let the task's time run out."""
        (accepted,) = self.broker.of_type(TaskAcceptedV1)
        self.broker.advance(self.broker.moment + timedelta(hours=1))
        return self.broker.received(TaskExpiredV1, subjects.task_expired(accepted.task_id))

    @property
    def decided(self) -> list[TaskDecidedV1]:
        return self.broker.of_type(TaskDecidedV1)

    @property
    def refused(self) -> list[PublicationRefusedV1]:
        return self.broker.of_type(PublicationRefusedV1)


@pytest.fixture
async def stage() -> Stage:
    opened = Stage()
    for document, name in (
        (POLICY, "routing-policy"),
        (FLEET, "fleet-manifest"),
        (Reviewers(version="1", reviewers={}), "reviewers"),
    ):
        await opened.publish(document, name)
    return opened


@pytest.mark.requirement("S2-policy")
async def test_a_redelivery_after_a_change_of_policy_keeps_the_first_pin(stage: Stage) -> None:
    event = await stage.submitted()
    await handlers.accept(event, stage.router)
    before = list(stage.broker.stored)
    await stage.change_policy()
    await handlers.accept(event, stage.router)
    assert [raw for raw in stage.broker.stored if raw.stream != "MODEL"] == [r for r in before if r.stream != "MODEL"]
    assert stage.asked(1).data.slip.policy == POLICY.digest()


@pytest.mark.requirement("S2-policy")
async def test_a_router_that_died_after_its_acceptance_goes_on_under_the_first_pin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    event = await stage.submitted()
    with monkeypatch.context() as patched:
        patched.setattr(steps, "set_deadline", die)
        with pytest.raises(KeyboardInterrupt):
            await handlers.accept(event, stage.router)
    assert (stage.broker.timers, stage.broker.of_type(InferenceRequestedV1)) == ([], [])
    await stage.change_policy()
    await handlers.accept(event, stage.router)
    assert (stage.asked(1).data.tier, stage.asked(1).data.slip.policy) == ("s", POLICY.digest())
    assert len(stage.broker.timers) == 1


async def test_every_news_delivered_twice_changes_nothing(stage: Stage) -> None:
    async def twice(handler: Any, event: Received[Any]) -> None:
        await handler(event, stage.router)
        once = list(stage.broker.stored)
        await handler(event, stage.router)
        assert stage.broker.stored == once

    await twice(handlers.accept, await stage.submitted())
    for number, verdict in ((1, WRONG), (2, PASSED)):
        await twice(handlers.verify_or_ask_again, await stage.answered(stage.asked(number)))
        await twice(handlers.next_step, await stage.judged(number, verdict))
    assert isinstance(stage.decided[0].outcome, Accepted)
    await twice(handlers.end_late_task, stage.expired())


@pytest.mark.requirement("S9-gate")
async def test_a_task_whose_time_is_up_is_declined_and_later_news_changes_nothing(stage: Stage) -> None:
    event = await stage.submitted()
    await handlers.accept(event, stage.router)
    expired = stage.expired()
    await handlers.end_late_task(expired, stage.router)
    (decided,) = stage.decided
    accepted = stage.broker.received(TaskAcceptedV1, subjects.task_accepted(TASK))
    assert isinstance(decided.outcome, Abstained)
    assert (decided.outcome.code, decided.kind, decided.safety_class) == ("deadline", KIND, "B")
    assert decided.cites == (event.citation, accepted.citation, expired.citation)
    await handlers.verify_or_ask_again(await stage.answered(stage.asked(1)), stage.router)
    assert stage.broker.of_type(VerificationRequestedV1) == []
    assert stage.refused == []


@pytest.mark.requirement("S9-classC")
async def test_an_answer_that_passes_after_the_end_is_put_before_nobody(stage: Stage) -> None:
    await handlers.accept(await stage.submitted("C"), stage.router)
    await handlers.verify_or_ask_again(await stage.answered(stage.asked(1)), stage.router)
    await handlers.end_late_task(stage.expired(), stage.router)
    await handlers.next_step(await stage.judged(1, PASSED), stage.router)
    assert stage.broker.of_type(ReviewRequestedV1) == []
    assert [each.outcome.status for each in stage.decided] == ["abstained"]


async def test_a_request_given_up_and_settled_later_leads_to_one_outcome(stage: Stage) -> None:
    await handlers.accept(await stage.submitted(), stage.router)
    late = stage.asked(1)
    (given_up,) = [raw for raw in stage.broker.stored if raw.subject == late.data.subject()]
    await steps.give_up_request(given_up, stage.router)
    assert stage.asked(2).data.tier == "m"
    for number in (1, 2):
        await handlers.verify_or_ask_again(await stage.answered(stage.asked(number)), stage.router)
        await handlers.next_step(await stage.judged(number, PASSED), stage.router)
    (decided,) = stage.decided
    assert isinstance(decided.outcome, Accepted)
    assert decided.outcome.tier == "s"
    assert len(stage.refused) == 1, "the second outcome is on record as refused"


async def test_what_is_settled_is_not_given_up(stage: Stage) -> None:
    """Worker and verifier settled, and died each time before they acknowledged."""
    await handlers.accept(await stage.submitted(), stage.router)
    await handlers.verify_or_ask_again(await stage.answered(stage.asked(1)), stage.router)
    await stage.judged(1, PASSED)
    before = list(stage.broker.stored)
    for raw in before:
        await steps.give_up_request(raw, stage.router)
    assert stage.broker.stored == before


async def test_a_settlement_of_a_request_that_the_router_never_made_starts_nothing(stage: Stage) -> None:
    await handlers.accept(await stage.submitted(), stage.router)
    settled = await stage.answered(stage.asked(1))
    other = settled.data.model_copy(update={"request_id": "00000000-0000-4000-8000-000000000000"})
    bus: Bus = stage.broker.bus("inference-worker-s")
    await bus.publish(other, cause=stage.asked(1), ordinal=1)
    forged = stage.broker.received(InferenceSettledV1, other.subject())
    with pytest.raises(Transient, match="cannot be read back"):
        await handlers.verify_or_ask_again(forged, stage.router)
    assert stage.broker.of_type(VerificationRequestedV1) == []
