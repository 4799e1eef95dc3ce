"""A broker that acknowledges before it syncs is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tierproof_bus import BusSettings, NotSetUp
from tierproof_bus.errors import NotDurable
from tierproof_bus.health import refuse_unsynced
from tierproof_embedded import nats_server as nats
from tierproof_embedded.testing import NatsServer


def where(server: NatsServer) -> str:
    return f"http://127.0.0.1:{server.broker.monitor_port}"


async def test_a_synced_broker_is_accepted(broker: NatsServer, settings: Callable[..., BusSettings]) -> None:
    await refuse_unsynced(settings("router", monitoring_url=where(broker)))


async def test_an_unsynced_broker_is_refused_unless_overridden(
    broker: NatsServer, settings: Callable[..., BusSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    broker.stop()
    nats.command(replace(broker.broker, sync_always=False))
    broker.start()
    with pytest.raises(NotDurable, match="sync_interval"):
        await refuse_unsynced(settings("router", monitoring_url=where(broker)))
    await refuse_unsynced(settings("router", monitoring_url=where(broker), allow_unsynced_broker=True))
    assert "broker.not_durable" in capsys.readouterr().out


async def test_a_monitoring_url_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotSetUp, match="TIERPROOF_MONITORING_URL"):
        await refuse_unsynced(BusSettings(monitoring_url="http://127.0.0.1:1"))
