"""A request becomes one settlement: on the bus in memory, with the kinds that need no compiler."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from tierproof_bus.errors import Transient
from tierproof_bus.messages import Received
from tierproof_bus.testing import MemoryBroker
from tierproof_contracts.envelope import Citation
from tierproof_contracts.slip import Slip
from tierproof_contracts.text import Text
from tierproof_contracts.verification import (
    Candidate,
    NotPassed,
    Passed,
    Unverifiable,
    VerificationRequestedV1,
    VerificationSettledV1,
)
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.errors import SandboxRefused
from tierproof_verifier.handlers import Shell, settle_verification
from tierproof_verifier.sandbox import Limits, Sandbox
from tierproof_verifier.settings import VerifierSettings

pytestmark = pytest.mark.requirement("P2")

DIGEST = "sha256:" + "0" * 64
TASK = "acme_" + "0" * 32
REQUEST = "11111111-2222-5333-8444-555555555555"
SLIP = Slip(
    task_id=TASK, tenant="acme", kind="dicom-adjacent", safety_class="A", policy=DIGEST, fleet=DIGEST, reviewers=DIGEST,
    accepted_at="2026-01-01T00:00:00Z", deadline="2026-01-01T00:01:00Z",
)  # fmt: skip
QUESTION = json.dumps({"attribute": "PatientID", "fields": ["tag", "vr"]})
RIGHT = '{"tag": "(0010,0020)", "vr": "LO"}'
WRONG = '{"tag": "(0010,0020)", "vr": "SH"}'


def text(content: str) -> Text:
    return Text(text=content, salt="0" * 32)


def request(*answers: tuple[str, Any], kind: str = "dicom-adjacent", **inputs: str) -> VerificationRequestedV1:
    return VerificationRequestedV1(
        request_id=REQUEST,
        task_id=TASK,
        tenant="acme",
        kind=kind,
        candidates=tuple(Candidate(text=text(answer), finish_reason=reason) for answer, reason in answers),
        inputs={name: text(content) for name, content in inputs.items()},
        inference=Citation(event_id=REQUEST, digest=DIGEST),
        deadline="2026-01-01T00:01:00Z",
        slip=SLIP,
    )


def shell(bench: Bench | SandboxRefused | None = None, **settings: Any) -> Shell:
    clock = iter(range(100))
    return Shell(
        settings=VerifierSettings(**settings),
        bench=bench or SandboxRefused("no user namespaces here; allow them"),
        clock=lambda: float(next(clock)),
    )


async def settled(
    asked: VerificationRequestedV1, with_shell: Shell | None = None, times: int = 1
) -> VerificationSettledV1:
    broker = MemoryBroker()
    await broker.bus("router").publish(asked)
    received: Received[VerificationRequestedV1] = broker.received(VerificationRequestedV1, asked.subject())
    for _ in range(times):
        await settle_verification(received, broker.bus("verifier"), with_shell or shell())
    (settlement,) = broker.of_type(VerificationSettledV1)
    return settlement


async def test_the_first_right_answer_passes() -> None:
    settlement = await settled(request((WRONG, "stop"), (RIGHT, "stop"), (RIGHT, "stop"), question=QUESTION))
    assert isinstance(settlement.verdict, Passed)
    assert settlement.verdict.answer_index == 1
    assert settlement.checking_ms == 1000
    assert settlement.verifier.startswith("tierproof-verifier/")


async def test_a_right_answer_that_was_cut_off_fails() -> None:
    settlement = await settled(request((RIGHT, "length"), (WRONG, "stop"), question=QUESTION))
    assert isinstance(settlement.verdict, NotPassed)
    assert [[found.code for found in findings] for findings in settlement.verdict.findings] == [
        ["cut-off"],
        ["wrong-vr"],
    ]
    assert settlement.verdict.nearest == 1


@pytest.mark.parametrize(
    ("kind", "inputs", "says"),
    [
        ("dicom-adjacent", {}, "`question` is missing"),
        ("reg-doc-drafting", {}, "`schema` is missing"),
        ("reg-doc-drafting", {"schema": '{"$ref": "#/none"}'}, "`schema` has a $ref"),
        ("embedded-fw-c", {}, "no user namespaces here"),
        ("poetry", {}, "no checks for kind `poetry`"),
    ],
)
async def test_what_cannot_be_checked_is_unverifiable_with_the_mend(
    kind: str, inputs: dict[str, str], says: str
) -> None:
    settlement = await settled(request((RIGHT, "stop"), kind=kind, **inputs))
    assert isinstance(settlement.verdict, Unverifiable)
    assert says in settlement.verdict.reason


async def test_a_second_delivery_settles_once() -> None:
    assert isinstance((await settled(request((RIGHT, "stop"), question=QUESTION), times=2)).verdict, Passed)


@pytest.mark.requirement("S9-gate")
async def test_checks_that_take_too_long_never_pass() -> None:
    class Slow(Bench):
        async def compiled(self, *_: object) -> Any:
            await asyncio.get_running_loop().create_future()

    asked = request(("uint8_t f(uint8_t x) { return x; }", "stop"), kind="embedded-fw-c", **C_INPUTS)
    settlement = await settled(asked, shell(bench_like(Slow), request_seconds=0.01))
    assert isinstance(settlement.verdict, Unverifiable)
    assert "took longer" in settlement.verdict.reason


async def test_a_sandbox_that_fails_later_is_tried_again() -> None:
    class Broken(Bench):
        async def compiled(self, *_: object) -> Any:
            raise SandboxRefused("no space left")

    asked = request(("uint8_t f(uint8_t x) { return x; }", "stop"), kind="embedded-fw-c", **C_INPUTS)
    with pytest.raises(Transient, match="no space left"):
        await settled(asked, shell(bench_like(Broken)))


async def test_logs_hold_no_text() -> None:
    with structlog.testing.capture_logs() as lines:
        await settled(request(('{"tag": "(0010,0020)", "vr": "Jane Doe"}', "stop"), question=QUESTION))
    (settling,) = [line for line in lines if line["event"] == "verification.settled"]
    assert settling["codes"] == ["malformed-field"]
    assert "Jane" not in str(lines)


def test_settings_come_from_the_environment_and_bear_on_the_verifiers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = VerifierSettings()
    monkeypatch.setenv("TIERPROOF_VERIFIER_C_VECTORS", "7")
    changed = VerifierSettings()
    assert changed.c_policy().vectors == 7
    assert changed.judging_digest != usual.judging_digest
    monkeypatch.delenv("TIERPROOF_VERIFIER_C_VECTORS")
    assert VerifierSettings(workers=9, nats_url="nats://elsewhere").judging_digest == usual.judging_digest


C_INPUTS = {
    "signature": '{"name": "f", "returns": "uint8_t", "parameters": [{"name": "x", "type": "uint8_t"}]}',
    "reference": "uint8_t f(uint8_t x) { return x; }",
}


def bench_like(kind: type[Bench]) -> Bench:
    limits = Limits(
        cpu_seconds=1, wall_ms=1, address_bytes=1, processes=1, file_bytes=1, tmp_bytes=1, output_bytes=1
    )  # fmt: skip
    sandbox = Sandbox(folders=(), account=(1, 1))
    return kind(sandbox=sandbox, compile_limits=limits, run_limits=limits, flags=())


def test_the_readme_says_what_is_consumed_and_published() -> None:
    readme = (Path(__file__).parents[3] / "services" / "verifier" / "README.md").read_text()
    for event in (VerificationRequestedV1, VerificationSettledV1):
        assert f"`{event.event_type}`" in readme
