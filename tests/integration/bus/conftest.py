"""A provisioned broker, buses of its users, and submissions to send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tierproof_bus import Bus, BusSettings, Service
from tierproof_bus.link import Link, connect
from tierproof_bus.provision import Deployment, Provisioner
from tierproof_contracts.ids import task_id_of
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_embedded.testing import NatsServer

QUICK: dict[str, Any] = {
    "retry_delays": (0.05, 0.1),
    "answer_seconds": 2.0,
    "watch_seconds": 0.3,
    "pull_seconds": 1.0,
    "reconnect_seconds": 0.1,
    "grace_seconds": 5.0,
}


def settings_of(server: NatsServer, user: str, **changes: Any) -> BusSettings:
    return BusSettings(**(QUICK | {"nats_url": server.bare_url, "nkey_seed_file": server.seed_file(user)} | changes))


def submission(key: str = "1", text: str = "say hello", tenant: str = "acme") -> TaskSubmittedV1:
    return TaskSubmittedV1(
        tenant=tenant,
        task_id=task_id_of(tenant, key),
        kind="greeting",
        safety_class="A",
        prompt=Text(text=text, salt="00" * 16),
        actor="tester",
    )


@pytest.fixture
def settings(broker: NatsServer) -> Callable[..., BusSettings]:
    return lambda user, **changes: settings_of(broker, user, **changes)


@pytest.fixture
async def broker(nats_server: NatsServer) -> NatsServer:
    """A broker with the topology on it, one replica, ack_wait 3 s."""
    settings = settings_of(nats_server, "provisioner")
    link = Link("provisioner", settings)
    client = await connect(link, settings)
    await Provisioner(link, Deployment(ack_wait=3.0)).provision()
    await client.close()
    return nats_server


@contextlib.asynccontextmanager
async def serving(service: Service) -> AsyncIterator["asyncio.Task[int]"]:
    """Run a service in this loop, and stop it in order."""
    stop = asyncio.Event()
    task = asyncio.create_task(service.serve(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 15)


async def until(met: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110 - any condition, and no event to wait for
            await asyncio.sleep(0.02)


@pytest.fixture
async def acme(broker: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.connect("app-acme", settings_of(broker, "app-acme")) as bus:
        yield bus


@pytest.fixture
async def router(broker: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.connect("router", settings_of(broker, "router")) as bus:
        yield bus


@pytest.fixture
async def auditor(broker: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.connect("auditor", settings_of(broker, "auditor")) as bus:
        yield bus
