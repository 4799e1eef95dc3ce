"""A command that asks a service where no broker is says so soon, and does not wait for ever."""

import time
from typing import Any

import pytest
from tierproof_bus import requests
from tierproof_bus.errors import Transient
from tierproof_bus.settings import BusSettings
from tierproof_contracts.dataset import DatasetRequestedV1

ID = "00000001-2222-5333-8444-555555555555"
REQUEST = DatasetRequestedV1(request_id=ID, records="a.jsonl", sealed=("sha256:" + "0" * 64,), requested_by="jo.weber")


@pytest.mark.parametrize("known", [True, False])
async def test_no_broker_and_unknown_credentials_are_told(nats_server: Any, tmp_path: Any, *, known: bool) -> None:
    url, seed = nats_server.bare_url, tmp_path / "stranger.nk"
    seed.write_text("SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY")
    settings = BusSettings(
        nats_url="nats://secret@127.0.0.1:1" if known else url,
        nkey_seed_file=nats_server.seed_file("ml-engineer") if known else seed,
        answer_seconds=1.0,
        allow_unsynced_broker=True,
    )
    began = time.monotonic()
    with pytest.raises(Transient, match=r"no broker at nats://127.0.0.1:\d+ lets ml-engineer in: start it") as refused:
        await requests.ask("ml-engineer", settings, REQUEST, ID, {}, wait=60)
    assert "secret" not in str(refused.value)
    assert time.monotonic() - began < 20
