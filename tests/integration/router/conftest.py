"""One broker and one router for the tests that need none of their own; `own` gives a test both for itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tierproof_bus.provision import Deployment, provision
from tierproof_contracts.documents import RoutingPolicy
from tierproof_embedded.testing import NatsServer

from tests.integration.router.stage import (
    FLEET,
    POLICY,
    REVIEWERS,
    Router,
    Stage,
    publish_documents,
    running,
    settings_of,
)

ACK_WAIT = 1.0


async def _laid_out(server: NatsServer, policy: RoutingPolicy, ack_wait: float) -> None:
    await provision(settings_of(server, "provisioner"), Deployment(ack_wait=ack_wait))
    await publish_documents(server, policy, FLEET, REVIEWERS)


@pytest.fixture(scope="module")
def shared(
    start_nats: Callable[[], AbstractContextManager[NatsServer]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatsServer]:
    """Run a broker with a router on it, under the delivered policy, for all tests of a module."""
    with start_nats() as server:
        asyncio.run(_laid_out(server, POLICY, ACK_WAIT))
        with running(server, tmp_path_factory.mktemp("router")):
            yield server


@pytest.fixture
async def stage(shared: NatsServer) -> AsyncIterator[Stage]:
    """The actors around the shared router."""
    async with Stage.opened(shared) as actors:
        yield actors


Own = Callable[..., AbstractAsyncContextManager[tuple[NatsServer, Router, Stage]]]


@pytest.fixture
def own(nats_server: NatsServer, tmp_path: Path) -> Own:
    """Return what opens a broker, a router and the actors for one test, under a policy and an ack_wait in seconds."""

    @contextlib.asynccontextmanager
    async def opened(policy: RoutingPolicy = POLICY, ack_wait: float = ACK_WAIT) -> Any:
        await _laid_out(nats_server, policy, ack_wait)
        with running(nats_server, tmp_path) as router:
            async with Stage.opened(nats_server) as actors:
                yield nats_server, router, actors

    return opened
