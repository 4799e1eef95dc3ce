"""Publishing on a real broker: once, whenever the second one comes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import nats
import nats.errors
import pytest
from tierproof_bus import Bus, BusSettings, NotPermitted, Received, Refused, TooLarge, Transient
from tierproof_bus.link import Link
from tierproof_bus.streams import JetStreams
from tierproof_contracts import permissions, subjects, topology
from tierproof_contracts.incident import PublicationRefusedV1
from tierproof_contracts.task import TaskDecidedV1, TaskExpiredV1, TaskSubmittedV1
from tierproof_embedded.testing import NatsServer

Build = Callable[..., TaskSubmittedV1]
Settings = Callable[..., BusSettings]
LinkOf = Callable[[str], Awaitable[Link]]

pytestmark = pytest.mark.requirement("BUS-delivery")


async def shorten_dedupe_window(server: NatsServer, stream: str) -> None:
    """Make the broker forget message ids at once, as it does after two minutes."""
    client = await nats.connect(server.url)
    info = json.loads((await client.request(f"$JS.API.STREAM.INFO.{stream}", b"")).data)["config"]
    config = info | {"duplicate_window": 100_000_000}
    reply = json.loads((await client.request(f"$JS.API.STREAM.UPDATE.{stream}", json.dumps(config).encode())).data)
    assert "error" not in reply, reply
    await client.close()
    await asyncio.sleep(0.3)


async def stored(router: Bus, acme: Bus, submission: TaskSubmittedV1) -> Received[TaskSubmittedV1]:
    await acme.publish(submission)
    found = await router.read(TaskSubmittedV1, submission.subject())
    assert found is not None
    return found


def failure(submission: TaskSubmittedV1, because: str = "for the test") -> TaskDecidedV1:
    return TaskDecidedV1(
        task_id=submission.task_id,
        tenant=submission.tenant,
        outcome={"status": "failed", "code": "internal", "detail": because},
        because=because,
        cites=(),
    )


async def test_the_same_event_twice_is_stored_once_long_after_the_dedupe_window(
    broker: NatsServer, acme: Bus, router: Bus, submission: Build
) -> None:
    cause = await stored(router, acme, submission())
    first = await router.publish(failure(submission()), cause=cause)
    await shorten_dedupe_window(broker, "TASK")
    again = await router.publish(failure(submission(), "other words"), cause=cause)
    assert (first.stored, again.stored, again.sequence) == ("new", "same", first.sequence)
    assert again.envelope.to_bytes() == first.envelope.to_bytes(), "the caller goes on with what is stored"
    assert first.envelope.causationid == cause.id
    assert first.envelope.correlationid == cause.envelope.correlationid


async def test_another_event_on_a_taken_subject_is_a_conflict_on_record(
    acme: Bus, router: Bus, auditor: Bus, submission: Build
) -> None:
    cause = await stored(router, acme, submission())
    first = await router.publish(failure(submission()), cause=cause)
    second = await router.publish(failure(submission()), cause=cause, ordinal=1)
    assert (second.stored, second.envelope.id) == ("conflict", first.envelope.id)
    assert await auditor.read_sequence("TASK", 3) is None
    found = await auditor.read_sequence("DEAD", 1)
    assert found is not None
    refusal = found.data
    assert isinstance(refusal, PublicationRefusedV1)
    assert (refusal.service, refusal.kept) == ("router", first.envelope.id)
    assert refusal.refused not in {first.envelope.id, cause.id}
    repeated = await router.publish(failure(submission()), cause=cause, ordinal=1)
    assert repeated.stored == "conflict"
    assert await auditor.read_sequence("DEAD", 2) is None, "one refusal, however often it is repeated"


async def test_a_tenant_learns_whether_its_submission_was_there_already(
    broker: NatsServer, acme: Bus, submission: Build
) -> None:
    assert (await acme.publish(submission())).stored == "new"
    assert (await acme.publish(submission())).stored == "same"
    await shorten_dedupe_window(broker, "TASK")
    assert (await acme.publish(submission())).stored == "same"


async def test_a_redelivered_cause_that_chooses_another_tier_meets_the_first_choice(
    router: Bus, link_of: LinkOf
) -> None:
    """The tier is in the subject, but no part of the request's identity."""
    streams = JetStreams(await link_of("router"))
    subject, other = (subjects.inference_requested(tier, "r-1") for tier in ("s", "m"))
    headers = {
        "Nats-Expected-Last-Subject-Sequence": "0",
        "Nats-Expected-Last-Subject-Sequence-Subject": "tierproof.inference.requested.v1.*.r-1",
    }
    assert getattr(await streams.append("INFERENCE", subject, b"{}", headers), "sequence", None) == 1
    taken = await streams.append("INFERENCE", other, b"{}", headers)
    assert getattr(taken, "detail", "").startswith("wrong last sequence")
    found = await streams.last("INFERENCE", "tierproof.inference.requested.v1.*.r-1")
    assert found is not None
    assert found.subject == subject


async def test_the_broker_itself_refuses_a_second_message_on_a_subject(broker: NatsServer) -> None:
    client = await nats.connect(broker.url)
    await client.jetstream().publish("tierproof.task.decided.v1.acme_x", b"1")
    with pytest.raises(nats.errors.Error, match="per subject"):
        await client.jetstream().publish("tierproof.task.decided.v1.acme_x", b"2")
    await client.close()


async def test_too_large_names_size_and_limit(router: Bus, acme: Bus, link_of: LinkOf) -> None:
    link = await link_of("router")
    with pytest.raises(TooLarge) as error:
        await JetStreams(link).append("TASK", "tierproof.task.decided.v1.x", b"x" * (link.largest + 1), {})
    assert (error.value.size, error.value.limit) == (link.largest + 1, link.largest)
    assert str(link.largest) in error.value.diagnosis()


async def test_a_broker_that_is_away_is_transient(broker: NatsServer, settings: Settings, submission: Build) -> None:
    async with Bus.connect("app-acme", settings("app-acme", answer_seconds=0.3, publish_tries=2)) as bus:
        broker.kill()
        with pytest.raises(Transient):
            await bus.publish(submission())
        broker.start()
        async with asyncio.timeout(10):
            while True:
                try:
                    published = await bus.publish(submission())
                    break
                except Transient:
                    continue
    assert published.sequence == 1


async def test_a_timer_fires_once_on_time_over_a_crash_of_the_broker(
    broker: NatsServer, router: Bus, acme: Bus, auditor: Bus, submission: Build
) -> None:
    cause = await stored(router, acme, submission())
    at = datetime.now(UTC) + timedelta(seconds=2.5)
    expired = TaskExpiredV1(task_id=cause.data.task_id, tenant="acme", deadline=at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    timer = subjects.timer_set("task", cause.data.task_id)
    first = await router.publish_after(expired, at=at, timer=timer, cause=cause)
    again = await router.publish_after(expired, at=at + timedelta(seconds=1), timer=timer, cause=cause)
    assert (first.stored, again.stored) == ("new", "same")
    broker.kill()
    broker.start()
    found: Received[TaskExpiredV1] | None = None
    async with asyncio.timeout(10):
        while found is None:
            await asyncio.sleep(0.05)
            try:
                found = await router.read(TaskExpiredV1, expired.subject())
            except Transient:
                continue
    assert found.id == first.envelope.id
    assert timedelta(0) <= found.stored_at - at < timedelta(seconds=1.5)
    late = await router.publish_after(expired, at=at, timer=timer, cause=cause)
    assert (late.stored, late.envelope.id) == ("same", found.id)
    await shorten_dedupe_window(broker, "TIMER")
    assert (await router.publish_after(expired, at=at, timer=timer, cause=cause)).stored == "same"
    await asyncio.sleep(1.0)
    assert await router.read_sequence("TIMER", found.sequence + 1) is None, "it fired once"


SCHEDULE = {"Nats-Schedule": "@at 2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("user", "subject", "headers"),
    [
        (
            "inference-worker-s",
            "tierproof.inference.settled.v1.s.x",
            SCHEDULE | {"Nats-Schedule-Target": "tierproof.inference.requested.v1.m.x"},
        ),
        (
            "app-acme",
            "tierproof.task.submitted.v1.acme.x",
            SCHEDULE | {"Nats-Schedule-Target": "tierproof.task.decided.v1.x"},
        ),
        ("app-acme", "tierproof.task.submitted.v1.acme.x", {"Nats-Rollup": "sub"}),
        ("app-acme", "tierproof.task.submitted.v1.acme.x", {"Nats-Rollup": "all"}),
        ("verifier", "tierproof.verification.settled.v1.k.x", {"Nats-Rollup": "all"}),
        (
            "router",
            "tierproof.timer.set.v1.task.x",
            SCHEDULE | {"Nats-Schedule-Target": "tierproof.result.released.v1.acme.x"},
        ),
    ],
)
async def test_headers_that_would_reach_foreign_subjects_are_refused(
    user: str, subject: str, headers: dict[str, str], broker: NatsServer, link_of: LinkOf
) -> None:
    link = await link_of(user)
    streams = JetStreams(link)
    with pytest.raises((Refused, NotPermitted)):
        await streams.append(topology.stream_of(subject), subject, b"{}", headers)
    client = await nats.connect(broker.url)
    await asyncio.sleep(0.2)
    for stream in ("TASK", "INFERENCE", "VERIFICATION", "RESULT"):
        assert (await client.jetstream().stream_info(stream)).state.messages == 0, stream
    await client.close()


def foreign_subjects(user: topology.User) -> list[str]:
    """One subject below each pattern that any other user may publish and this one may not."""
    everyone = (*topology.SERVICES, *topology.PEOPLE, topology.producer("acme"), topology.producer("globex"))
    patterns = {pattern for other in everyone for pattern in permissions.allowed_to_publish(other)} - {"$JS.API.>"}
    examples = {pattern.replace("*", "x").replace(">", "x") for pattern in patterns}
    examples |= {"$JS.API.STREAM.DELETE.TASK", "$JS.API.STREAM.PURGE.TASK", "$JS.API.STREAM.UPDATE.DEAD"}
    examples |= {"$JS.API.CONSUMER.DELETE.TASK.router--task-submitted", "$JS.API.STREAM.MSG.DELETE.MODEL"}
    from tierproof_bus.testing import covers  # noqa: PLC0415 - the only use

    own = permissions.allowed_to_publish(user)
    return sorted(example for example in examples if not any(covers(pattern, example) for pattern in own))


@pytest.mark.parametrize("user", [*topology.SERVICES, topology.producer("acme")], ids=lambda user: str(user.name))
async def test_no_service_says_what_is_not_its_own(user: topology.User, link_of: LinkOf) -> None:
    link = await link_of(user.name)
    foreign = foreign_subjects(user)
    assert len(foreign) > 20

    async def attempt(subject: str) -> str:
        try:
            await link.ask(subject, b"{}")
        except NotPermitted as error:
            return "denied" if user.name in error.diagnosis() and subject in error.diagnosis() else error.diagnosis()
        except Transient as error:
            return error.diagnosis()
        return "said"

    answers: dict[str, Any] = dict(zip(foreign, await asyncio.gather(*map(attempt, foreign)), strict=True))
    assert {subject: answer for subject, answer in answers.items() if answer != "denied"} == {}
