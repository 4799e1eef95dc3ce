"""How deliveries end, on a real broker."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import nats
import nats.errors
import pytest
from tierproof_bus import Bus, BusSettings, Raw, Received, Service, Transient
from tierproof_bus.testing import serving, until
from tierproof_contracts.incident import DeadLetteredV1
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_embedded.testing import NatsServer

Build = Callable[..., TaskSubmittedV1]
Settings = Callable[..., BusSettings]

pytestmark = pytest.mark.requirement("BUS-delivery")


async def dead_letter(bus: Bus, sequence: int, stream: str = "task") -> DeadLetteredV1:
    subject = f"tierproof.dead.lettered.v1.router.{stream}-{sequence}"
    async with asyncio.timeout(10):
        while (letter := await bus.read(DeadLetteredV1, subject)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return letter.data


async def consumer(server: NatsServer, stream: str, durable: str) -> Any:
    client = await nats.connect(server.url)
    try:
        return await client.jetstream().consumer_info(stream, durable)
    finally:
        await client.close()


async def put(server: NatsServer, subject: str, content: bytes) -> None:
    client = await nats.connect(server.url)
    await client.jetstream().publish(subject, content)
    await client.close()


async def test_a_handled_event_is_acknowledged_and_never_comes_back(
    broker: NatsServer, acme: Bus, settings: Settings, submission: Build
) -> None:
    seen: list[Received[TaskSubmittedV1]] = []
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        seen.append(event)

    async with serving(service):
        for key in range(5):
            await acme.publish(submission(str(key)))
        await until(lambda: len(seen) >= 5)
    info = await consumer(broker, "TASK", "router--task-submitted")
    assert sorted(event.sequence for event in seen) == [1, 2, 3, 4, 5]
    assert {event.attempt for event in seen} == {1}
    assert all(event.stored_at.tzinfo is not None and event.stream == "TASK" for event in seen)
    assert (info.ack_floor.stream_seq, info.num_ack_pending) == (5, 0)


async def test_transient_trouble_is_tried_again_after_each_delay_and_then_given_up(
    acme: Bus, auditor: Bus, settings: Settings, submission: Build
) -> None:
    attempts: list[int] = []
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        attempts.append(event.attempt)
        raise Transient("the other side is away")

    async with serving(service):
        await acme.publish(submission())
        letter = await dead_letter(auditor, 1)
    assert attempts == [1, 2, 3]
    assert (letter.reason, letter.attempts, letter.origin.stream) == ("gave-up", 3, "TASK")
    assert "the other side is away" in letter.detail


async def test_trouble_that_passes_ends_well(acme: Bus, auditor: Bus, settings: Settings, submission: Build) -> None:
    attempts: list[int] = []
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        attempts.append(event.attempt)
        if event.attempt < 3:
            raise Transient("not yet")

    async with serving(service):
        await acme.publish(submission())
        await until(lambda: len(attempts) >= 3)
        await asyncio.sleep(0.3)
    assert attempts == [1, 2, 3]
    assert await auditor.read(DeadLetteredV1, "tierproof.dead.lettered.v1.router.task-1") is None


POISON = {
    "bytes": (b"\xff\xfe", "unreadable"),
    "not-an-object": (b"[1]", "unreadable"),
    "key-twice": (b'{"type":"task.submitted.v1","type":"x"}', "unreadable"),
    "wrong-schema": (b'{"type":"task.submitted.v1","data":{"tenant":7}}', "unreadable"),
    "future-version": (b'{"type":"task.submitted.v2","data":{}}', "unknown-event"),
    "deep": (b'{"type":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "unreadable"),
}


@pytest.mark.parametrize("kind", POISON)
async def test_poison_is_delivered_once_recorded_once_and_hurts_no_neighbour(
    kind: str, broker: NatsServer, acme: Bus, auditor: Bus, settings: Settings, submission: Build
) -> None:
    content, reason = POISON[kind]
    seen: list[int] = []
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1, workers=2)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        seen.append(event.sequence)

    await acme.publish(submission("before"))
    await put(broker, "tierproof.task.submitted.v1.acme.poison", content)
    await acme.publish(submission("after"))
    async with serving(service):
        letter = await dead_letter(auditor, 2)
        await until(lambda: len(seen) == 2)
        await asyncio.sleep(0.5)
    info = await consumer(broker, "TASK", "router--task-submitted")
    assert letter.reason == reason
    assert letter.attempts == 1
    assert sorted(seen) == [1, 3]
    assert (info.num_redelivered, info.num_ack_pending, info.ack_floor.stream_seq) == (0, 0, 3)


async def test_an_event_on_a_subject_that_is_not_its_own_is_misdirected(
    broker: NatsServer, acme: Bus, auditor: Bus, router: Bus, settings: Settings, submission: Build
) -> None:
    stored = (await acme.publish(submission())).envelope
    await put(broker, "tierproof.task.submitted.v1.globex.stolen", stored.to_bytes())
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        assert event.sequence == 1

    async with serving(service):
        letter = await dead_letter(auditor, 2)
    assert letter.reason == "misdirected"


async def test_a_bug_in_a_handler_is_recorded_without_the_words_of_the_error(
    acme: Bus, auditor: Bus, settings: Settings, submission: Build
) -> None:
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        raise ValueError(f"cannot handle {event.data.prompt.text}")

    async with serving(service):
        await acme.publish(submission(text="a secret of the patient"))
        letter = await dead_letter(auditor, 1)
    assert letter.reason == "crashed"
    assert letter.detail.startswith("ValueError at test_settling.py:")
    assert "secret" not in letter.model_dump_json()


async def test_a_slow_handler_keeps_its_message_and_holds_nobody_back(
    broker: NatsServer, acme: Bus, settings: Settings, submission: Build
) -> None:
    done: list[tuple[str, int]] = []
    slow_task = submission("slow").task_id
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1, workers=3)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        if event.data.task_id == slow_task:
            await asyncio.sleep(5.0)  # 2.5 times ack_wait: only heartbeats keep the broker from delivering it again
        done.append((event.data.task_id, event.attempt))

    async with serving(service):
        await acme.publish(submission("slow"))
        for key in range(20):
            await acme.publish(submission(str(key)))
        await until(lambda: len(done) >= 20, 3.0)
        assert slow_task not in {task for task, _ in done}
        await until(lambda: len(done) >= 21)
    info = await consumer(broker, "TASK", "router--task-submitted")
    assert done[-1] == (slow_task, 1)
    assert len(done) == 21
    assert info.num_redelivered == 0


async def test_more_messages_than_workers_never_time_out_in_a_local_queue(
    broker: NatsServer, acme: Bus, settings: Settings, submission: Build
) -> None:
    at_work, most, ran = 0, 0, 0
    service = Service("router", settings("router"))

    @service.on(TaskSubmittedV1, workers=4)
    async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
        nonlocal at_work, most, ran
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.8)
        at_work -= 1
        ran += 1

    for key in range(16):
        await acme.publish(submission(str(key)))
    async with serving(service):
        await until(lambda: ran >= 16)  # 3.2 s of work per worker, above ack_wait
        await asyncio.sleep(0.3)
    assert (most, ran) == (4, 16)
    assert (await consumer(broker, "TASK", "router--task-submitted")).num_redelivered == 0


async def test_a_message_that_kills_every_worker_reaches_the_advisory_reader(
    broker: NatsServer, settings: Settings
) -> None:
    """The broker's own limit, behind ours: eight deliveries that nobody settled."""
    advisories: list[dict[str, Any]] = []
    service = Service("router", settings("router"))

    @service.on_raw("router--delivery-advised")
    async def advised(raw: Raw, bus: Bus) -> None:
        advisories.append(json.loads(raw.content))

    await put(broker, "tierproof.inference.requested.v1.s.r-1", b"{}")
    client = await nats.connect(broker.url)
    pulled = await client.jetstream().pull_subscribe_bind(durable="inference-worker-s--requested", stream="INFERENCE")
    for _ in range(8):
        (message,) = await pulled.fetch(1, timeout=5)
        await message.nak()
    with pytest.raises(nats.errors.TimeoutError):
        await pulled.fetch(1, timeout=0.5)
    async with serving(service):
        await until(lambda: bool(advisories))
    await client.close()
    assert (advisories[0]["stream"], advisories[0]["stream_seq"], advisories[0]["deliveries"]) == ("INFERENCE", 1, 8)
