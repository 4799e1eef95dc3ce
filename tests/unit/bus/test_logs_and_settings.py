"""Logs withhold texts; settings come from the environment and cannot change."""

import json
from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict
from tierproof_bus import BusSettings, NotSetUp, Service, logs
from tierproof_contracts.evidence import EvidenceCheckpointedV1
from tierproof_contracts.task import TaskSubmittedV1


@pytest.mark.parametrize("key", ["prompt", "text", "answer", "answers", "payload", "salt", "token", "seed"])
def test_a_key_that_could_carry_a_text_is_withheld(key: str) -> None:
    assert logs.withhold_texts(None, "info", {"event": "x", key: "the patient"}) == {"event": "x", key: logs.WITHHELD}


def test_lines_are_json_with_the_facts_around_them(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", service="router")
    try:
        with logs.about(event_id="e-1"):
            structlog.get_logger().info("task.routed", tier="s", prompt="the patient")
            structlog.get_logger().debug("unseen")
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    (line,) = capsys.readouterr().out.splitlines()
    fact = json.loads(line)
    assert (fact["event"], fact["tier"], fact["event_id"], fact["service"]) == ("task.routed", "s", "e-1", "router")
    assert fact["prompt"] == logs.WITHHELD


def test_a_command_tells_errors_alone_beside_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    logs.errors_only()
    try:
        structlog.get_logger().warning("unseen")
        structlog.get_logger().error("task.lost", prompt="the patient")
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr()
    assert (said.out, "unseen" in said.err, "task.lost" in said.err, "patient" in said.err) == ("", False, True, False)


class RouterSettings(BusSettings):
    model_config = SettingsConfigDict(env_prefix="TIERPROOF_ROUTER_")

    patience: int = 3


def test_common_settings_have_one_name_and_a_services_own_carry_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERPROOF_NATS_URL", "nats://elsewhere:4222")
    monkeypatch.setenv("TIERPROOF_ROUTER_PATIENCE", "7")
    monkeypatch.setenv("TIERPROOF_RETRY_DELAYS", "[0.5, 2]")
    found = RouterSettings()
    assert (found.nats_url, found.patience, found.retry_delays) == ("nats://elsewhere:4222", 7, (0.5, 2.0))


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RouterSettings().patience = 9  # type: ignore[misc]


def test_our_own_retries_end_before_the_brokers_delivery_limit() -> None:
    with pytest.raises(ValidationError, match="at most 7"):
        BusSettings(retry_delays=(1.0,) * 8)


def test_a_service_hears_only_what_the_topology_gives_it() -> None:
    service = Service("router", BusSettings())
    service.on(TaskSubmittedV1)
    with pytest.raises(NotSetUp, match=r"evidence.checkpointed.v1"):
        service.on(EvidenceCheckpointedV1)
    with pytest.raises(NotSetUp, match="verifier--requested"):
        service.on_raw("verifier--requested")
    service.on_raw("router--delivery-advised")


def test_a_trust_file_that_is_missing_is_named(tmp_path: Path) -> None:
    from tierproof_bus.documents import signers_in  # noqa: PLC0415 - one use

    with pytest.raises(NotSetUp, match="TIERPROOF_TRUST_FILE"):
        signers_in(tmp_path / "trust.json")
    assert signers_in(None) == {}
