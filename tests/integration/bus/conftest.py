"""A provisioned broker, the settings and buses of its users, and submissions to send."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tierproof_bus import Bus, BusSettings
from tierproof_bus.link import Link, connect
from tierproof_bus.provision import Deployment, provision
from tierproof_contracts.ids import task_id_of
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_embedded.testing import NatsServer

ACK_WAIT = 2.0
QUICK: dict[str, Any] = {
    "retry_delays": (0.05, 0.1),
    "answer_seconds": 2.0,
    "watch_seconds": 0.3,
    "pull_seconds": 1.0,
    "reconnect_seconds": 0.1,
    "grace_seconds": 5.0,
}


def _settings(server: NatsServer, user: str, changes: dict[str, Any]) -> BusSettings:
    return BusSettings(**(QUICK | {"nats_url": server.bare_url, "nkey_seed_file": server.seed_file(user)} | changes))


@pytest.fixture
def submission() -> Callable[..., TaskSubmittedV1]:
    def build(key: str = "1", text: str = "say hello", tenant: str = "acme") -> TaskSubmittedV1:
        return TaskSubmittedV1(
            tenant=tenant,
            task_id=task_id_of(tenant, key),
            kind="greeting",
            safety_class="A",
            prompt=Text(text=text, salt="00" * 16),
            actor="tester",
        )

    return build


@pytest.fixture
async def broker(nats_server: NatsServer) -> NatsServer:
    """A broker with the topology on it: one replica, short ack_wait."""
    await provision(_settings(nats_server, "provisioner", {}), Deployment(ack_wait=ACK_WAIT))
    return nats_server


@pytest.fixture
def settings(broker: NatsServer) -> Callable[..., BusSettings]:
    return lambda user, **changes: _settings(broker, user, changes)


@pytest.fixture
async def acme(settings: Callable[..., BusSettings]) -> AsyncIterator[Bus]:
    async with Bus.connect("app-acme", settings("app-acme")) as bus:
        yield bus


@pytest.fixture
async def router(settings: Callable[..., BusSettings]) -> AsyncIterator[Bus]:
    async with Bus.connect("router", settings("router")) as bus:
        yield bus


@pytest.fixture
async def auditor(settings: Callable[..., BusSettings]) -> AsyncIterator[Bus]:
    async with Bus.connect("auditor", settings("auditor")) as bus:
        yield bus


@pytest.fixture
async def link_of(settings: Callable[..., BusSettings]) -> AsyncIterator[Callable[[str], Awaitable[Link]]]:
    """Connect as a user, below the bus."""
    async with contextlib.AsyncExitStack() as stack:

        async def connected(user: str) -> Link:
            link = Link(user, settings(user))
            client = await connect(link, settings(user))
            stack.push_async_callback(client.close)
            return link

        yield connected
