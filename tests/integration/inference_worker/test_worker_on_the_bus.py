"""The whole worker: a request on a real broker, a server on the real wire, one settlement."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tierproof_bus import Bus, BusSettings
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.testing import serving, until
from tierproof_contracts import subjects
from tierproof_contracts.inference import Completed, InferenceRequestedV1, InferenceSettledV1, NotCompleted
from tierproof_embedded.testing import NatsServer
from tierproof_inference_worker.handlers import service
from tierproof_inference_worker.settings import InferenceWorkerSettings

Build = Callable[..., InferenceRequestedV1]


@pytest.fixture
async def broker(nats_server: NatsServer) -> NatsServer:
    seed = nats_server.seed_file("provisioner")
    await provision(BusSettings(nats_url=nats_server.bare_url, nkey_seed_file=seed), Deployment(ack_wait=2.0))
    return nats_server


@pytest.fixture
def settings(broker: NatsServer, scripted: Any) -> InferenceWorkerSettings:
    return InferenceWorkerSettings(
        tier="s",
        nats_url=broker.bare_url,
        nkey_seed_file=broker.seed_file("inference-worker-s"),
        triton_url=scripted.url,
        idle_seconds=1.0,
        call_seconds=1.0,
        retry_seconds=0.2,
        probe_every_seconds=0.5,
        pull_seconds=1.0,
        reconnect_seconds=0.1,
        grace_seconds=5.0,
    )


@pytest.fixture
async def router(broker: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.connect(
        "router", BusSettings(nats_url=broker.bare_url, nkey_seed_file=broker.seed_file("router"))
    ) as bus:
        yield bus


async def settlement(router: Bus, asked: InferenceRequestedV1) -> InferenceSettledV1:
    async with asyncio.timeout(15):
        subject = subjects.inference_settled(asked.tier, asked.request_id)
        while (found := await router.read(InferenceSettledV1, subject)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found.data


@pytest.mark.requirement("BUS-delivery")
async def test_a_request_is_settled_once(
    settings: InferenceWorkerSettings, scripted: Any, router: Bus, request_for: Build
) -> None:
    asked = request_for("alpha beta")
    published = await router.publish(asked)
    async with serving(service(settings)):
        settled = await settlement(router, asked)
    assert isinstance(settled.settlement, Completed)
    assert settled.settlement.answers[0].text.text == "alpha beta"
    found = await router.read_sequence("INFERENCE", 2)
    assert found is not None
    assert found.envelope.causationid == published.envelope.id
    assert await router.read_sequence("INFERENCE", 3) is None


async def test_a_worker_starts_without_its_server_and_answers_when_it_comes(
    settings: InferenceWorkerSettings, scripted: Any, router: Bus, request_for: Build
) -> None:
    await scripted.stop()
    asked, late = request_for(key="1"), request_for(key="2", seconds=1.5)
    for request in (asked, late):
        await router.publish(request)
    worker = service(settings)
    async with serving(worker):
        settled = await settlement(router, late)
        assert not all(met() for met in worker.ready_when)
        await scripted.start()
        await until(lambda: all(met() for met in worker.ready_when))
        answered = await settlement(router, asked)
    assert isinstance(settled.settlement, NotCompleted)
    assert settled.settlement.code == "server-down"
    assert isinstance(answered.settlement, Completed)


@pytest.mark.requirement("BUS-delivery")
async def test_a_request_whose_settlement_was_lost_with_the_worker_is_not_generated_again(
    settings: InferenceWorkerSettings, broker: NatsServer, scripted: Any, router: Bus, request_for: Build
) -> None:
    """The first worker published and died before it acknowledged."""
    asked = request_for("only once")
    await router.publish(asked)
    import nats  # noqa: PLC0415 - below the bus on purpose

    client = await nats.connect(broker.url)
    pulled = await client.jetstream().pull_subscribe_bind(durable="inference-worker-s--requested", stream="INFERENCE")
    (message,) = await pulled.fetch(1)
    async with serving(service(settings)):
        await asyncio.sleep(0.2)
    own = BusSettings(nats_url=broker.bare_url, nkey_seed_file=settings.nkey_seed_file)
    async with Bus.connect("inference-worker-s", own) as dead_worker:
        lost = NotCompleted(code="crashed", detail="for the test", another_try=True)
        await dead_worker.publish(
            InferenceSettledV1(
                request_id=asked.request_id, task_id=asked.task_id, tenant="acme", tier="s", settlement=lost
            )
        )
    await message.nak()
    generated = [heard for heard in scripted.script.heard if heard.request_id != "probe"]
    async with serving(service(settings)):
        await asyncio.sleep(1.0)
        info = await client.jetstream().consumer_info("INFERENCE", "inference-worker-s--requested")
    await client.close()
    assert info.ack_floor.stream_seq == 1
    assert [heard for heard in scripted.script.heard if heard.request_id != "probe"] == generated == []


async def test_another_tiers_requests_stay_where_they_are(
    settings: InferenceWorkerSettings, scripted: Any, router: Bus, request_for: Build
) -> None:
    await router.publish(request_for(tier="m"))
    async with serving(service(settings)):
        await asyncio.sleep(1.0)
    assert [heard for heard in scripted.script.heard if heard.request_id != "probe"] == []
