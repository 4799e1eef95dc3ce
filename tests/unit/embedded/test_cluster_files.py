"""What `compose.yaml` mounts is there once the state folder was prepared, and what it sets are settings that the parts have."""

import re
import stat
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings
from tierproof_bus.settings import BusSettings
from tierproof_embedded import endpoints, ledger, ports
from tierproof_embedded.cluster_files import write_cluster_files
from tierproof_embedded.errors import NotRunning
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import prepare
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_proofs.policy import Policy
from tierproof_proofs.trust import Trust
from tierproof_tsa.settings import TsaSettings
from tierproof_witness.logs import read_logs
from tierproof_witness.settings import WitnessSettings

COMPOSE = (Path(__file__).resolve().parents[3] / "compose.yaml").read_text()
SETTINGS: dict[str, type[BaseSettings]] = {
    "TIERPROOF_EVIDENCE_LEDGER_": LedgerSettings,
    "TIERPROOF_WITNESS_": WitnessSettings,
    "TIERPROOF_TSA_": TsaSettings,
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(6000, 6000 + count)))
    (tmp_path / "fleet").mkdir()
    return EmbeddedSettings(home=tmp_path / "state", fleet=tmp_path / "fleet", only=("nats",))


def test_whatever_is_mounted_of_the_state_folder_was_made(settings: EmbeddedSettings) -> None:
    prepare(settings)
    written = write_cluster_files(settings)
    mounted = re.findall(r"\./\.tierproof/([\w./-]+)", COMPOSE)
    assert len(mounted) > 15
    missing = [path for path in mounted if not (settings.layout.home / path).exists()]
    assert missing == []
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in written)


def test_witness_and_ledger_meet_by_the_names_of_the_containers(settings: EmbeddedSettings) -> None:
    prepare(settings)
    files = {path.name: path for path in write_cluster_files(settings)}
    trust = Trust.from_json(settings.layout.trust.read_bytes())
    assert read_logs(files["witness-logs"].read_text(), "witness-logs") == {
        trust.origin: tuple(each.key for each in trust.log_keys)
    }
    policy = Policy.parse(files["witness-policy"].read_bytes())
    assert {party.url for party in policy.witnesses} == {"http://witness:8470"}
    assert policy.satisfied_by(trust.witnesses[:1])
    dsn = files[ledger.DSN_FILES["writer"]].read_text()
    assert dsn.startswith("postgresql://ledger_writer:")
    assert dsn.endswith(f"@postgres:5432/{endpoints.DATABASE}")


def test_without_a_prepared_folder_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        write_cluster_files(EmbeddedSettings(home=tmp_path))


def test_each_variable_of_the_ledger_and_its_neighbours_is_a_setting() -> None:
    common = {f"TIERPROOF_{name.upper()}" for name in {*BusSettings.model_fields, *LedgerSettings.model_fields}}
    found = set(re.findall(r"TIERPROOF_(?:PG|EVIDENCE_LEDGER|WITNESS|TSA)_[A-Z_]+", COMPOSE))
    assert len(found) > 20
    for variable in found:
        prefix = next((prefix for prefix in SETTINGS if variable.startswith(prefix)), None)
        known = common if prefix is None else {f"{prefix}{name.upper()}" for name in SETTINGS[prefix].model_fields}
        assert variable in known


def test_each_secret_that_is_mounted_is_defined() -> None:
    defined = set(re.findall(r"^  ([\w-]+): \{file:", COMPOSE, re.MULTILINE))
    named = set(re.findall(r"/run/secrets/([\w-]+)", COMPOSE)) - {"nkey"} | set(
        re.findall(r"source: ([\w-]+)", COMPOSE)
    )
    assert named == defined
