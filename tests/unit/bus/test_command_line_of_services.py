"""`python -m` of every service that stands on the bus: help names its settings, and anything else is refused."""

import importlib

import pytest

SERVICES = {
    "router": "TIERPROOF_ROUTER_",
    "inference_worker": "TIERPROOF_INFERENCE_WORKER_",
    "verifier": "TIERPROOF_VERIFIER_",
    "curator": "TIERPROOF_CURATOR_INBOX",
    "trainer": "TIERPROOF_TRAINER_JOBS",
}


@pytest.mark.parametrize("service", SERVICES)
def test_help_names_the_settings(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(f"tierproof_{service}.__main__").main
    monkeypatch.setattr("sys.argv", ["x", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert SERVICES[service] in said
    assert "TIERPROOF_NATS_URL: default" in said
    monkeypatch.setattr("sys.argv", ["x", "nonsense"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
