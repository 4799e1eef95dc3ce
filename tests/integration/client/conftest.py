"""A provisioned broker with the permissions of the topology, and the ledger's part played by its own user."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from nats.aio.msg import Msg
from tierproof.connection import Connection, connected
from tierproof_bus import Bus, BusSettings
from tierproof_bus.provision import Deployment, provision
from tierproof_contracts import subjects
from tierproof_contracts.ids import tenant_of
from tierproof_contracts.result import ResultReleasedV1
from tierproof_embedded.testing import NatsServer

Release = Callable[..., Awaitable[None]]


@pytest.fixture
async def broker(nats_server: NatsServer) -> NatsServer:
    """A broker with the topology on it."""
    seed = nats_server.seed_file("provisioner")
    await provision(BusSettings(nats_url=nats_server.bare_url, nkey_seed_file=seed), Deployment())
    return nats_server


@pytest.fixture
async def bus_of(broker: NatsServer) -> AsyncIterator[Callable[[str], Awaitable[Bus]]]:
    """Return a bus on which a test speaks as one of the services."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(user: str) -> Bus:
            settings = BusSettings(nats_url=broker.bare_url, nkey_seed_file=broker.seed_file(user))
            return await stack.enter_async_context(Bus.connect(user, settings))

        yield opened


@pytest.fixture
async def release(bus_of: Callable[[str], Awaitable[Bus]]) -> Release:
    """Release an outcome, as the evidence ledger does."""
    ledger = await bus_of("evidence-ledger")

    async def released(task_id: str, kind: str = "greeting", answer: str = "hello") -> None:
        outcome: dict[str, Any] = {
            "status": "answered",
            "answer": {"text": answer, "salt": secrets.token_hex(16)},
            "tier": "s",
        }
        data = {
            "task_id": task_id,
            "tenant": tenant_of(task_id),
            "kind": kind,
            "safety_class": "A",
            "outcome": outcome,
            "because": "every check passed",
            "ledger": {"log": "test/log", "index": 4, "size": 5},
        }
        await ledger.publish(ResultReleasedV1.model_validate(data), event_id=_event_id())

    return released


@pytest.fixture
async def ledger_answers(broker: NatsServer) -> AsyncIterator[Callable[..., Awaitable[Connection]]]:
    """Answer questions as the evidence ledger's user: each reply in turn, the last one again and again."""
    async with contextlib.AsyncExitStack() as stack:

        async def answers(*replies: bytes) -> Connection:
            connection = await stack.enter_async_context(
                connected(broker.bare_url, credentials=broker.seed_file("evidence-ledger"))
            )
            left = list(replies)

            async def reply(message: Msg) -> None:
                await connection.client.publish(message.reply, left.pop(0) if len(left) > 1 else left[0])

            await stack.enter_async_context(connection.hearing(subjects.asked_of_ledger("*", "*"), reply))
            return connection

        yield answers


def _event_id() -> str:
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
