"""The service on a real broker: C answers judged behind real walls, and once only."""

import asyncio
import json
from typing import Any

import pytest
from tierproof_bus.bus import Bus
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.settings import BusSettings
from tierproof_bus.testing import serving
from tierproof_contracts.envelope import Citation
from tierproof_contracts.slip import Slip
from tierproof_contracts.text import Text
from tierproof_contracts.verification import (
    Candidate,
    NotPassed,
    Passed,
    VerificationRequestedV1,
    VerificationSettledV1,
)
from tierproof_verifier.handlers import service
from tierproof_verifier.settings import VerifierSettings

pytestmark = pytest.mark.requirement("P2")

DIGEST = "sha256:" + "0" * 64
TASK = "acme_" + "0" * 32
INPUTS = {
    "signature": json.dumps({"name": "low", "returns": "uint8_t", "parameters": [{"name": "x", "type": "uint16_t"}]}),
    "reference": "uint8_t low(uint16_t x) { return (uint8_t)(x & 0xFFu); }",
}
RIGHT = "uint8_t low(uint16_t x) { return (uint8_t)x; }"
WRONG = "uint8_t low(uint16_t x) { return (uint8_t)(x & 0x7Fu); }"


def text(content: str) -> Text:
    return Text(text=content, salt="0" * 32)


def request(number: int, *answers: str) -> VerificationRequestedV1:
    slip = Slip(
        task_id=TASK, tenant="acme", kind="embedded-fw-c", safety_class="A", policy=DIGEST, fleet=DIGEST,
        reviewers=DIGEST, accepted_at="2026-01-01T00:00:00Z", deadline="2026-01-01T00:01:00Z",
    )  # fmt: skip
    identifier = f"{number:08x}-2222-5333-8444-555555555555"
    return VerificationRequestedV1(
        request_id=identifier,
        task_id=TASK,
        tenant="acme",
        kind="embedded-fw-c",
        candidates=tuple(Candidate(text=text(answer), finish_reason="stop") for answer in answers),
        inputs={name: text(content) for name, content in INPUTS.items()},
        inference=Citation(event_id=identifier, digest=DIGEST),
        deadline="2026-01-01T00:01:00Z",
        slip=slip,
    )


async def settlement_of(bus: Bus, asked: VerificationRequestedV1) -> VerificationSettledV1:
    subject = f"{asked.subject().replace('requested', 'settled')}"
    async with asyncio.timeout(20):
        while True:
            found = await bus.read(VerificationSettledV1, subject)
            if found is not None:
                return found.data
            await asyncio.sleep(0.02)


def settings_for(nats_server: Any, user: str) -> dict[str, Any]:
    return {
        "nats_url": nats_server.bare_url,
        "nkey_seed_file": nats_server.seed_file(user),
        "allow_unsynced_broker": True,
    }


async def test_requests_are_settled_once_with_the_right_verdict(nats_server: Any) -> None:
    await provision(BusSettings(**settings_for(nats_server, "provisioner")), Deployment(replicas=1))
    app = service(VerifierSettings(**settings_for(nats_server, "verifier")))
    async with (
        serving(app),
        Bus.connect("router", BusSettings(**settings_for(nats_server, "router"))) as bus,
    ):
        asked = [
            request(1, WRONG, RIGHT),
            request(2, WRONG),
            request(3, RIGHT),
            request(4, "int main(void) { return 0; }"),
        ]
        for one in asked:
            await bus.publish(one)
        settled = [await settlement_of(bus, one) for one in asked]
    verdicts = [one.verdict for one in settled]
    assert isinstance(verdicts[0], Passed)
    assert verdicts[0].answer_index == 1
    assert isinstance(verdicts[1], NotPassed)
    assert [found.code for found in verdicts[1].findings[0]] == ["wrong-result"]
    assert isinstance(verdicts[2], Passed)
    assert isinstance(verdicts[3], NotPassed)
