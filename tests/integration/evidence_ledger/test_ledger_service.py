"""The whole service on a real broker and database: from events to a result that is verified offline."""

import asyncio
import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from tierproof_contracts import subjects, topology
from tierproof_contracts.envelope import Envelope
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.testing import REVIEWERS, Story, answered_task, published
from tierproof_proofs.errors import NotVerified
from tierproof_proofs.release import verify_released
from tierproof_proofs.trust import Trust


async def publish(client: Client, events: Iterable[Envelope[Any]]) -> None:
    """Publish events on their own subjects and wait until the broker has stored them."""
    stream = client.jetstream()
    for event in events:
        await stream.publish(event.data.subject(), event.to_bytes(), stream=topology.stream_of(event.data.subject()))


async def released(client: Client, story: Story, seconds: float = 10) -> bytes:
    """Return a task's released result as the broker stores it."""
    subject = subjects.result_released(story["task.submitted.v1"].data.tenant, story.task_id)
    async with asyncio.timeout(seconds):
        while True:
            reply = await client.request("$JS.API.DIRECT.GET.RESULT", json.dumps({"last_by_subj": subject}).encode())
            if "Nats-Sequence" in (reply.headers or {}):
                return bytes(reply.data)
            await asyncio.sleep(0.02)


async def ask(client: Client, name: str, **question: Any) -> Any:
    """Return the answer to a question; a proof is to be had once a checkpoint is published."""
    async with asyncio.timeout(10):
        while True:
            reply = await client.request(
                subjects.asked_of_ledger(name, "tester"), json.dumps(question).encode(), timeout=10
            )
            answer = json.loads(reply.data)
            if answer.get("refused", {}).get("code") != "not-yet":
                assert "refused" not in answer, answer
                return answer["answer"]
            await asyncio.sleep(0.05)


@pytest.mark.requirement("LED-proof")
@pytest.mark.requirement("S9-classC")
async def test_a_class_c_answer_is_released_and_verified_offline(running: LedgerSettings, everyone: Client) -> None:
    story = answered_task(1, safety_class="C")
    await publish(everyone, [published(REVIEWERS), *story.events])
    result = await released(everyone, story)
    proof = await ask(everyone, "proof", task_id=story.task_id)
    assert running.trust_file is not None
    trust = Trust.from_json(running.trust_file.read_text())
    verified = verify_released(result, proof["proof"], base64.b64decode(proof["entry"]), trust)
    assert (verified.task_id, verified.status, verified.confirmed_by) == (story.task_id, "answered", "ada")
    assert json.loads(result)["data"]["outcome"]["answer"]["text"] == "an answer 1"
    with pytest.raises(NotVerified):
        verify_released(
            result.replace(b"an answer 1", b"an answer 2"), proof["proof"], base64.b64decode(proof["entry"]), trust
        )


@pytest.mark.requirement("LED-query")
async def test_questions_are_answered(running: LedgerSettings, everyone: Client) -> None:
    story, waiting = answered_task(1), answered_task(2, safety_class="C").without("review.decided.v1")
    await publish(everyone, [*story.events, *waiting.events])
    await released(everyone, story)
    async with asyncio.timeout(10):
        while not (await ask(everyone, "reviews"))["reviews"]:  # noqa: ASYNC110 - a question is all that a reader has
            await asyncio.sleep(0.05)
    told = await ask(everyone, "story", task_id=story.task_id)
    assert told["state"] == "answered"
    assert {entry["type"] for entry in told["events"]} == {
        *(event.type for event in story.events),
        "result.released.v1",
    }
    assert [task["state"] for task in (await ask(everyone, "tasks", state="answered"))["tasks"]] == ["answered"]
    assert [task["state"] for task in (await ask(everyone, "tasks", state="waiting"))["tasks"]] == ["waiting"]
    assert [review["task_id"] for review in (await ask(everyone, "reviews"))["reviews"]] == [waiting.task_id]
    assert (await ask(everyone, "dead"))["letters"] == []
    found = await ask(
        everyone, "search", event_type="inference.settled.v1", tenant="acme", since="2026-01-01T00:00:00Z"
    )
    assert len(found["entries"]) == 2
    report = await ask(everyone, "verify")
    assert report["problems"] == []
    assert report["entries"] >= len(story.events) + len(waiting.events) + 1


@pytest.mark.parametrize(
    ("name", "question", "why"),
    [
        ("nonsense", b"{}", "no such question"),
        ("story", b"{}", "task_id"),
        ("story", b'{"task_id": "acme_00000000000000000000000000000009"}', "no entry speaks"),
        ("proof", b'{"index": 99}', "no such entry"),
        ("search", b"not json", "JSON"),
        ("tasks", b'{"limit": 100000}', "limit"),
        ("search", b'{"since": "yesterday evening"}', "since"),
    ],
)
async def test_bad_questions_are_refused_by_name(
    running: LedgerSettings, everyone: Client, name: str, question: bytes, why: str
) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                answer = json.loads(
                    (await everyone.request(subjects.asked_of_ledger(name, "tester"), question, timeout=2)).data
                )
                if answer["refused"]["code"] != "unavailable":
                    break
            except nats.errors.Error:
                pass  # nobody listens yet
            await asyncio.sleep(0.05)
    assert "answer" not in answer
    assert why in answer["refused"]["message"]


async def test_checkpoints_are_announced(running: LedgerSettings, everyone: Client) -> None:
    await publish(everyone, answered_task(1).events)
    async with asyncio.timeout(10):
        while True:
            info = await everyone.jetstream().stream_info("EVIDENCE")
            if info.state.messages:
                break
            await asyncio.sleep(0.05)
    message = await everyone.jetstream().get_msg("EVIDENCE", 1)
    said = json.loads(message.data or b"")
    assert (said["type"], said["data"]["log"]) == ("evidence.checkpointed.v1", "ledger.example/tests")


async def test_keys_are_private(running: LedgerSettings, everyone: Client, tmp_path: Path) -> None:
    await publish(everyone, answered_task(1).events)
    await released(everyone, answered_task(1))
    for name in ("log.pem", "texts.key"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
