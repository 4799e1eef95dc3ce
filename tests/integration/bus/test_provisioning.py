"""Provisioning a real broker: complete, repeatable, and never destructive."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from tierproof_bus import BusSettings, WouldLose
from tierproof_bus.provision import Deployment, provision
from tierproof_contracts.topology import CONSUMERS, STREAMS
from tierproof_embedded.testing import NatsServer

Settings = Callable[..., BusSettings]


@pytest.fixture
async def admin(broker: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(broker.url)
    yield client
    await client.close()


async def api(client: Client, subject: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    reply = await client.request(f"$JS.API.{subject}", json.dumps(request).encode() if request else b"")
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


async def test_everything_in_the_topology_exists_and_a_second_run_changes_nothing(
    admin: Client, settings: Settings
) -> None:
    names = (await api(admin, "STREAM.NAMES"))["streams"]
    assert sorted(names) == sorted(stream.name for stream in STREAMS)
    for consumer in CONSUMERS:
        assert "error" not in await api(admin, f"CONSUMER.INFO.{consumer.stream}.{consumer.durable}")
    again = await provision(settings("provisioner"), Deployment(ack_wait=2.0))
    assert set(again.values()) == {"kept"}


async def test_harmless_drift_is_mended(admin: Client, settings: Settings) -> None:
    config = (await api(admin, "STREAM.INFO.TASK"))["config"]
    assert "error" not in await api(admin, "STREAM.UPDATE.TASK", config | {"duplicate_window": 10**9})
    changed = await provision(settings("provisioner"), Deployment(ack_wait=5.0))
    assert changed["TASK"] == "updated"
    assert changed["router--task-submitted"] == "updated"
    info = await api(admin, "CONSUMER.INFO.TASK.router--task-submitted")
    assert info["config"]["ack_wait"] == 5 * 10**9


@pytest.mark.requirement("BUS-delivery")
async def test_drift_that_would_lose_data_is_refused_before_anything_changes(admin: Client, settings: Settings) -> None:
    config = (await api(admin, "STREAM.INFO.TASK"))["config"]
    longer = config | {"max_age": 2 * config["max_age"], "subjects": [*config["subjects"], "tierproof.extra.>"]}
    assert "error" not in await api(admin, "STREAM.UPDATE.TASK", longer)
    assert "error" not in await api(admin, "CONSUMER.DELETE.TASK.router--task-submitted")
    with pytest.raises(WouldLose) as refusal:
        await provision(settings("provisioner"), Deployment(ack_wait=2.0))
    assert "shorter max_age" in refusal.value.diagnosis()
    assert "tierproof.extra.>" in refusal.value.diagnosis()
    assert "error" in await api(admin, "CONSUMER.INFO.TASK.router--task-submitted"), "nothing was changed at all"


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("stream", [stream.name for stream in STREAMS if stream.keep_for_ever])
async def test_what_is_kept_for_ever_survives_even_the_administrator(stream: str, admin: Client) -> None:
    assert (await api(admin, f"STREAM.PURGE.{stream}"))["error"]["code"] == 500
    answer = await api(admin, f"STREAM.MSG.DELETE.{stream}", {"seq": 1})
    assert "not permitted" in answer["error"]["description"] or "denied" in answer["error"]["description"], answer
