"""Bad submissions, forgeries, duplicates and crashing handlers: each ends in a clear word to whoever can act, and the books are right."""

import asyncio
import json
import os
import secrets
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import tierproof
from tierproof.cli.reviews import signed_decision
from tierproof.connection import Connection, connected
from tierproof_bus import Bus
from tierproof_contracts import subjects
from tierproof_contracts.questions import DeadAsked, DeadLetters, OpenReview, Reviews, ReviewsAsked
from tierproof_contracts.result import ResultReleasedV1
from tierproof_embedded.stack import Stack
from tierproof_proofs.keys import load_or_create_key

from tests.faults.books import Auditor, check_books
from tests.faults.load import submit_surely, task

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]
PATIENCE = 60.0


async def books(stack: Stack, submitted: set[str]) -> dict[str, str]:
    async with Auditor(stack.nats_url, str(stack.seed_file("provisioner")), stack.owner_dsn) as auditor:
        checked = await check_books(auditor, patience=PATIENCE, submitted=submitted)
    return checked.released


def fleet_of(stack: Stack) -> Any:
    return tierproof.connect(stack.nats_url, credentials=stack.seed_file("app-demo"))


async def raw_submission(connection: Connection, task_id: str, content: bytes) -> None:
    reply = await connection.request(subjects.task_submitted("demo", task_id), content)
    assert "error" not in json.loads(reply.data)


def good_submission(fleet: tierproof.Fleet, task_id: str) -> dict[str, Any]:
    salt = "0" * 32
    given = task()
    texts = {name: {"text": text, "salt": salt} for name, text in given["inputs"].items()}
    return {
        "specversion": "1.0",
        "id": "00000000-0000-4000-8000-" + secrets.token_hex(6),
        "type": "task.submitted.v1",
        "source": "other-sdk",
        "subject": task_id,
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": "task.submitted.v1.json",
        "correlationid": task_id,
        "data": {
            "tenant": fleet.tenant,
            "task_id": task_id,
            "kind": given["kind"],
            "safety_class": given["safety_class"],
            "prompt": {"text": given["prompt"], "salt": salt},
            "inputs": texts,
            "actor": "other",
        },
    }


def without_class(event: dict[str, Any]) -> None:
    del event["data"]["safety_class"]


def other_class(event: dict[str, Any]) -> None:
    event["data"]["safety_class"] = "D"


def future_version(event: dict[str, Any]) -> None:
    event["type"] = "task.submitted.v9"


def other_tenant(event: dict[str, Any]) -> None:
    event["data"]["tenant"] = "other"


def number_for_text(event: dict[str, Any]) -> None:
    event["data"]["prompt"] = 7


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("spoil", [without_class, other_class, future_version, other_tenant, number_for_text])
async def test_a_wrong_submission_is_released_as_a_failure_that_names_the_field(stack: Stack, spoil: Any) -> None:
    async with fleet_of(stack) as fleet:
        task_id = f"demo_{secrets.token_hex(16)}"
        event = good_submission(fleet, task_id)
        spoil(event)
        await raw_submission(fleet.connection, task_id, json.dumps(event).encode())
        result = await fleet.result_of(task_id, PATIENCE)
    assert (result.outcome.status, result.outcome.code) == ("failed", "unreadable")
    field = {
        "without_class": "safety_class",
        "other_class": "safety_class",
        "future_version": "type",
        "other_tenant": "tenant",
    }
    assert field.get(spoil.__name__, "prompt") in result.outcome.detail
    await books(stack, {task_id})


@pytest.mark.requirement("BUS-contracts")
async def test_a_message_from_another_sdk_is_as_good_as_ours(stack: Stack) -> None:
    async with fleet_of(stack) as fleet:
        task_id = f"demo_{secrets.token_hex(16)}"
        await raw_submission(fleet.connection, task_id, json.dumps(good_submission(fleet, task_id)).encode())
        assert (await fleet.result_of(task_id, PATIENCE)).answer
    await books(stack, {task_id})


@pytest.mark.requirement("BUS-delivery")
@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b'{"a": ', b"[1]", b'{"type": "x", "type": "y"}', b"{}" * 10], ids=range(5)
)
async def test_bytes_that_are_no_event_become_a_dead_letter_once(stack: Stack, content: bytes) -> None:
    name = f"poison-{secrets.token_hex(4)}"
    async with fleet_of(stack) as fleet:
        await raw_submission(fleet.connection, name, content)
    async with connected(stack.nats_url, credentials=stack.seed_file("auditor")) as auditor, asyncio.timeout(PATIENCE):
        while True:
            letters = (await auditor.ask(DeadAsked(limit=500), DeadLetters)).letters
            mine = [letter for letter in letters if letter.subject.endswith(name)]
            if mine:
                break
            await asyncio.sleep(0.2)
    assert [(letter.service, letter.attempts) for letter in mine] == [("router", 1)]
    await books(stack, set())


@pytest.mark.requirement("A7")
async def test_unknown_kind_missing_input_and_huge_prompt_are_declined_with_the_reason(stack: Stack) -> None:
    cases = [
        ({**task(), "kind": "marketing"}, ("abstained", "unknown-kind", "marketing")),
        ({**task(), "inputs": {}}, ("failed", "verification", "inputs.pattern")),
        ({**task(), "prompt": "x" * 20_000}, ("abstained", "too-large", "prompt_bytes")),
    ]
    submitted = set()
    async with fleet_of(stack) as fleet:
        for given, (status, code, word) in cases:
            task_id = await submit_surely(fleet, given)
            outcome = (await fleet.result_of(task_id, PATIENCE)).outcome
            assert (outcome.status, outcome.code) == (status, code)
            assert word in outcome.detail
            submitted.add(task_id)
        with pytest.raises(tierproof.TooLarge, match="limit is 262144"):
            await fleet.submit(**{**task(), "prompt": "x" * 300_000})
    await books(stack, submitted)


@pytest.mark.requirement("BUS-delivery")
async def test_duplicates_within_and_long_after_the_window_are_one_task(stack: Stack) -> None:
    """Without Nats-Msg-Id the broker's window sees nothing: what is left is the stream's own refusal."""
    async with fleet_of(stack) as fleet:
        first = await fleet.submit(**task(), key=(key := secrets.token_hex(4)))
        assert (await fleet.submit(**task(), key=key)).task_id == first.task_id
        with pytest.raises(tierproof.AlreadySubmitted, match="prompt"):
            await fleet.submit(**{**task(), "prompt": "another"}, key=key)
        event = json.dumps(good_submission(fleet, first.task_id)).encode()
        for _ in range(3):
            reply = await fleet.connection.request(subjects.task_submitted("demo", first.task_id), event)
            assert json.loads(reply.data)["error"]["err_code"] in {10071, 10077}
        assert (await first.released(PATIENCE)).answer
    await books(stack, {first.task_id})


async def _waiting(stack: Stack, task_id: str) -> OpenReview:
    async with connected(stack.nats_url, credentials=stack.seed_file("auditor")) as auditor, asyncio.timeout(PATIENCE):
        while True:
            found = (await auditor.ask(ReviewsAsked(task_id=task_id), Reviews)).reviews
            if found:
                return found[0]
            await asyncio.sleep(0.2)


@pytest.mark.requirement("S9-classC")
@pytest.mark.requirement("LED-sign")
@pytest.mark.parametrize("forgery", ["another key", "unknown signer", "altered after signing"])
async def test_a_forged_review_decision_releases_no_answer(stack: Stack, forgery: str, tmp_path: Path) -> None:
    async with fleet_of(stack) as fleet:
        task_id = await submit_surely(fleet, task(safety_class="C", time_allowed=60))
        waiting = await _waiting(stack, task_id)
        real = load_or_create_key(stack.layout.keys / "demo-reviewer.pem")
        decision = signed_decision(
            waiting,
            load_or_create_key(tmp_path / "mallory.pem") if forgery == "another key" else real,
            verdict="reject" if forgery == "altered after signing" else "confirm",
            meaning="approval",
            reason="read",
            signer="mallory" if forgery == "unknown signer" else "demo-reviewer",
            printed_name="Demo Reviewer",
            at=datetime.now(UTC),
        )
        if forgery == "altered after signing":
            decision = decision.model_copy(update={"verdict": "confirm"})
        async with Bus.connect("reviewer", stack.bus_settings("reviewer")) as reviewer:
            await reviewer.publish(decision)
        result = await fleet.result_of(task_id, PATIENCE)
    assert (result.outcome.status, result.outcome.code) == ("failed", "bad-review")
    assert result.answer is None
    await books(stack, {task_id})


@pytest.mark.requirement("S9-classC")
async def test_class_c_waits_for_a_person_and_is_then_released(stack: Stack) -> None:
    async with fleet_of(stack) as fleet:
        task_id = await submit_surely(fleet, task(safety_class="C", time_allowed=60))
        waiting = await _waiting(stack, task_id)
        with pytest.raises(tierproof.NotYet):
            await fleet.result_of(task_id, 1.0)
        decision = signed_decision(
            waiting,
            load_or_create_key(stack.layout.keys / "demo-reviewer.pem"),
            verdict="confirm",
            meaning="approval",
            reason="read",
            signer="demo-reviewer",
            printed_name="Demo Reviewer",
            at=datetime.now(UTC),
        )
        async with Bus.connect("reviewer", stack.bus_settings("reviewer")) as reviewer:
            await reviewer.publish(decision)
        result = await fleet.prove(await fleet.result_of(task_id, PATIENCE))
    assert result.answer
    assert result.verify(stack.trust).confirmed_by == "demo-reviewer"
    await books(stack, {task_id})


@pytest.mark.requirement("BUS-delivery")
@pytest.mark.parametrize("user", ["app-demo", "router", "reviewer", "verifier"])
@pytest.mark.part11("11.10(d)")
@pytest.mark.part11("11.10(h)")
async def test_nobody_but_the_ledger_releases_a_result(stack: Stack, user: str) -> None:
    async with fleet_of(stack) as fleet:
        task_id = await submit_surely(fleet, task())
        result = await fleet.result_of(task_id, PATIENCE)
    forged = ResultReleasedV1.model_validate(
        {**result.released.model_dump(mode="json"), "task_id": f"demo_{secrets.token_hex(16)}"}
    )
    async with connected(stack.nats_url, credentials=stack.seed_file(user)) as connection:
        with pytest.raises(tierproof.NotPermitted):
            await connection.request(forged.subject(), b"{}")
    await books(stack, {task_id})


CRASHING_WORKER = """
    import os
    from tierproof_bus import Service, BusSettings
    from tierproof_contracts.inference import InferenceRequestedV1

    service = Service("inference-worker-m", BusSettings())

    @service.on(InferenceRequestedV1, workers=1)
    async def crash(event, bus):
        os._exit(1)

    service.run()
"""


@pytest.mark.requirement("BUS-delivery")
async def test_a_handler_that_always_crashes_ends_in_the_next_step(stack: Stack, tmp_path: Path) -> None:
    """A wrong answer escalates to tier m, whose worker dies each time: the broker gives up, the router goes on to tier l."""
    script = tmp_path / "crashing_worker.py"
    script.write_text(textwrap.dedent(CRASHING_WORKER))
    environment = {
        **os.environ,
        "TIERPROOF_NATS_URL": stack.nats_url,
        "TIERPROOF_NKEY_SEED_FILE": str(stack.seed_file("inference-worker-m")),
        "TIERPROOF_TRUST_FILE": str(stack.trust),
    }
    async with fleet_of(stack) as fleet:
        task_id = await submit_surely(fleet, task(right=False, time_allowed=90))
        deaths = 0
        result = None
        async with asyncio.timeout(90):
            while result is None:
                worker = await asyncio.create_subprocess_exec(
                    sys.executable,
                    str(script),
                    env=environment,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                waiting = asyncio.create_task(worker.wait())
                hearing = asyncio.create_task(fleet.result_of(task_id, 90))
                await asyncio.wait({waiting, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if hearing.done():
                    result = hearing.result()
                hearing.cancel()
                if worker.returncode is None:
                    worker.terminate()
                    await worker.wait()
                else:
                    deaths += 1
    assert deaths >= 2
    assert (result.outcome.status, getattr(result.outcome, "code", "")) == ("abstained", "exhausted")
    await books(stack, {task_id})
