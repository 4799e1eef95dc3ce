"""What a state folder becomes before anything runs: endpoints, keys, signed documents, parts; and what people are shown."""

import json
import stat
from pathlib import Path

import pytest
from tierproof_bus.documents import opened
from tierproof_contracts import topology
from tierproof_contracts.documents import DsseEnvelope, FleetManifest, Reviewers
from tierproof_embedded import authority, cluster, doctor, endpoints, ledger, ports, servers, services
from tierproof_embedded.authority import establish
from tierproof_embedded.errors import BadDocument, NoSuchLog, NoSuchPart
from tierproof_embedded.follow import added_since, last_lines, logs_of
from tierproof_embedded.layout import Layout
from tierproof_embedded.pins import OPEN, Pins
from tierproof_embedded.services import Service
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import prepare
from tierproof_proofs.keys import load_key
from tierproof_proofs.trust import Trust

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(6000, 6000 + count)))
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    found = EmbeddedSettings(home=tmp_path / "state", fleet=fleet, nats_url=None, pg_dsn=None, triton_url=None)
    found.layout.prepare()
    return found


def no_pins() -> Pins:
    raise AssertionError("there is no manifest to fill")


def manifest_file(settings: EmbeddedSettings, **digests: str) -> Path:
    assert settings.fleet is not None
    manifest = json.loads((ROOT / "infra" / "fleet" / "fleet-manifest.json").read_text())
    manifest["adapters"] = {}  # their delivery has tests of its own
    del manifest["triage"]["heads"]
    for spec in manifest["tiers"].values():
        spec.update(digests)
    path = settings.fleet / "fleet-manifest.json"
    path.write_text(json.dumps(manifest))
    return path


def reviewers_file(settings: EmbeddedSettings, version: str) -> Path:
    assert settings.fleet is not None
    path = settings.fleet / "reviewers.json"
    key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    who = {"printed_name": "R. Viewer", "public_key": key}
    path.write_text(json.dumps({"document": "reviewers", "version": version, "reviewers": {"r-viewer": who}}))
    return path


@pytest.mark.requirement("LED-proof")
def test_what_the_folder_signs_verifies_against_its_trust_file(settings: EmbeddedSettings) -> None:
    establish(settings.layout, settings, no_pins)
    trust = Trust.from_json(settings.layout.trust.read_text())
    row = json.loads((settings.layout.documents / "in-force.json").read_text())[0]
    envelope = DsseEnvelope.model_validate_json((settings.layout.documents / row["file"]).read_text())
    document = opened(envelope, "reviewers", row["digest"], trust.documents)
    assert isinstance(document, Reviewers)
    assert set(trust.reviewers) == set(document.reviewers) == {authority.DEMO_REVIEWER}
    assert trust.log_keys[0].key.public_key == load_key(ledger.log_key(settings.layout)).public_key


def test_what_is_signed_for_the_first_time_is_said_loudly(settings: EmbeddedSettings) -> None:
    reviewers_file(settings, "1")
    first = establish(settings.layout, settings, no_pins)
    assert all(notice.loud for notice in first)
    digest = json.loads((settings.layout.documents / "in-force.json").read_text())[0]["digest"]
    assert any(digest in notice.text for notice in first)
    assert establish(settings.layout, settings, no_pins) == []
    reviewers_file(settings, "2")
    assert len(establish(settings.layout, settings, no_pins)) == 2


def test_delivered_reviewers_replace_the_demo_one(settings: EmbeddedSettings) -> None:
    reviewers_file(settings, "1")
    establish(settings.layout, settings, no_pins)
    assert set(Trust.from_json(settings.layout.trust.read_text()).reviewers) == {"r-viewer"}


def test_a_document_that_cannot_be_read_is_named(settings: EmbeddedSettings) -> None:
    assert settings.fleet is not None
    (settings.fleet / "routing-policy.json").write_text('{"document": "routing-policy", "version": "1", "speed": 3}')
    with pytest.raises(BadDocument, match=r"routing-policy\.json: .*; mend the document"):
        establish(settings.layout, settings, no_pins)


@pytest.mark.requirement("S1.2-pinned")
def test_open_digests_of_the_manifest_are_those_of_the_local_model(settings: EmbeddedSettings) -> None:
    kept = "sha256:" + "a" * 64
    manifest_file(settings, weights=OPEN, tokenizer=OPEN, engine=kept)
    reader = Pins(weights="sha256:" + "4" * 64, tokenizer="sha256:" + "5" * 64, engine="sha256:" + "6" * 64)
    local = Pins(
        weights="sha256:" + "1" * 64, tokenizer="sha256:" + "2" * 64, engine="sha256:" + "3" * 64, triage=reader
    )
    establish(settings.layout, settings, lambda: local)
    row = json.loads((settings.layout.documents / "in-force.json").read_text())[0]
    envelope = DsseEnvelope.model_validate_json((settings.layout.documents / row["file"]).read_text())
    trust = Trust.from_json(settings.layout.trust.read_text())
    signed = opened(envelope, "fleet-manifest", row["digest"], trust.documents)
    assert isinstance(signed, FleetManifest)
    found = {(spec.weights, spec.tokenizer, spec.engine) for spec in signed.tiers.values()}
    assert found == {(local.weights, local.tokenizer, kept)}
    assert signed.triage is not None
    assert (signed.triage.weights, signed.triage.engine) == (reader.weights, reader.engine)


@pytest.mark.requirement("S1.2-pinned")
def test_a_manifest_with_open_digests_is_never_signed(settings: EmbeddedSettings) -> None:
    manifest_file(settings, weights=OPEN)
    nothing_known = Pins(weights=OPEN, tokenizer=OPEN, engine=OPEN)
    with pytest.raises(BadDocument, match=r"tiers\.s\.weights is open"):
        establish(settings.layout, settings, lambda: nothing_known)
    assert list(settings.layout.documents.glob("fleet-manifest*")) == []


def test_every_private_file_is_the_owners_alone(settings: EmbeddedSettings) -> None:
    prepare(settings)
    ledger.write_dsns(settings.layout, "postgresql://postgres:x@127.0.0.1:1/tierproof")
    private = [path for path in settings.layout.keys.rglob("*") if path.is_file()]
    assert len(private) > len(topology.SERVICES)
    assert [path.name for path in private if stat.S_IMODE(path.stat().st_mode) != 0o600] == []


def test_a_stack_has_a_part_for_everything_and_needs_that_exist(settings: EmbeddedSettings) -> None:
    parts = {part.name: part for part in prepare(settings).parts}
    assert {
        "nats",
        "postgres",
        "first-steps",
        "ledger-migration",
        "router",
        "verifier",
        "evidence-ledger",
    } <= parts.keys()
    assert {f"inference-worker-{tier}" for tier in settings.tiers} <= parts.keys()
    assert {need for part in parts.values() for need in part.needs} <= parts.keys()


def test_a_stack_that_trains_has_curator_and_trainer_with_the_fleets_examinations(settings: EmbeddedSettings) -> None:
    assert settings.fleet is not None
    trains = {"curator", "trainer"}
    assert not trains & {part.name for part in prepare(settings).parts}
    (settings.fleet / "examinations").mkdir()
    (settings.fleet / "examinations" / "one.sealed").write_text("delivered")
    training = settings.model_copy(update={"training": True})
    assert trains <= {part.name for part in prepare(training).parts}
    delivered = settings.layout.training / "sealed" / "one.sealed"
    delivered.write_text("of this folder")
    prepare(training)
    assert delivered.read_text() == "of this folder", "what lies there is not replaced"


def test_a_part_can_be_started_alone_with_what_it_needs(settings: EmbeddedSettings) -> None:
    alone = prepare(settings.model_copy(update={"only": ("router",)}))
    assert {part.name for part in alone.parts} == {"nats", "first-steps", "router"}
    with pytest.raises(NoSuchPart, match="no part 'rooter'; there are nats"):
        prepare(settings.model_copy(update={"only": ("rooter",)}))


def test_a_named_server_is_not_started(settings: EmbeddedSettings) -> None:
    elsewhere = settings.model_copy(
        update={"nats_url": "nats://n:4222", "pg_dsn": "postgresql://o:p@db/l", "triton_url": "t:8001"}
    )
    prepared = prepare(elsewhere)
    names = {part.name for part in prepared.parts}
    assert not names & {"nats", "postgres", "triton"}
    assert (prepared.endpoints.nats_url, prepared.endpoints.owner_dsn) == ("nats://n:4222", "postgresql://o:p@db/l")
    assert prepared.endpoints.monitoring_url is None
    assert "p@db" not in repr(prepared.endpoints)


def test_a_role_takes_the_place_of_the_owner_in_a_dsn() -> None:
    dsn = endpoints.with_role(
        "postgresql://postgres:se%40cret@127.0.0.1:5432/tierproof?sslmode=require", "ledger_writer", "p@ss/1"
    )
    assert dsn == "postgresql://ledger_writer:p%40ss%2F1@127.0.0.1:5432/tierproof?sslmode=require"


def test_a_service_sees_tuning_of_the_shell_but_no_secret_of_another() -> None:
    shell = {
        "TIERPROOF_LOG_LEVEL": "DEBUG",
        "TIERPROOF_PG_DSN": "secret",
        "AWS_SECRET": "x",
        "TIERPROOF_NKEY_SEED_FILE": "/other",
    }
    service = Service(name="router", module="m", needs=(), environment={"TIERPROOF_OWN": "1"})
    found = services.environment_of(service, {"TIERPROOF_NATS_URL": "n"}, seed=Path("/s"), port=7, shell=shell)
    assert found == {
        "TIERPROOF_LOG_LEVEL": "DEBUG",
        "TIERPROOF_NATS_URL": "n",
        "TIERPROOF_NKEY_SEED_FILE": "/s",
        "TIERPROOF_HTTP_PORT": "7",
        "PYTHONUNBUFFERED": "1",
        "TIERPROOF_OWN": "1",
    }


def test_only_the_ledger_is_told_where_the_database_is(settings: EmbeddedSettings) -> None:
    assert any("PG" in name for name in ledger.environment(settings.layout))
    assert not any("://" in value for value in ledger.environment(settings.layout).values())


def test_each_tenant_has_a_user(settings: EmbeddedSettings) -> None:
    names = {user.name for user in servers.users(("acme", "globex"))}
    assert {"router", "provisioner", "reviewer", "auditor", "app-acme", "app-globex"} <= names


def test_the_committed_broker_configuration_is_that_of_the_topology() -> None:
    committed = (ROOT / "infra" / "nats" / "server.conf").read_text()
    assert committed == cluster.cluster_config(), (
        "run `python -m tierproof_embedded nats-config > infra/nats/server.conf`"
    )


def test_logs_are_found_by_part(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    layout.prepare()
    layout.log_of("nats").write_text("a\nb\n")
    layout.log_of("router").write_text("c\n")
    assert list(last_lines(logs_of(layout, []), 1)) == [("nats", "b"), ("router", "c")]
    assert list(last_lines(logs_of(layout, ["router"]), 0)) == []
    with pytest.raises(NoSuchLog, match="no log of 'triton'; there are nats, router"):
        logs_of(layout, ["triton"])


def test_following_reads_whole_lines_and_starts_anew_after_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_text("one\ntwo\nthr")
    lines, position = added_since(log, 0)
    assert (lines, position) == (["one", "two"], 8)
    log.write_text("one\ntwo\nthree\n")
    assert added_since(log, position) == (["three"], 14)
    log.write_text("new\n")
    assert added_since(log, 14) == (["new"], 4)


def test_the_doctor_names_the_mend_of_each_wrong(settings: EmbeddedSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tierproof_embedded.doctor.shutil.which", lambda _name: None)
    greedy = settings.model_copy(update={"least_disk": 2**60, "least_memory": 2**60})
    wrong = [check(greedy) for check in (doctor.c_compiler, doctor.disk_space, doctor.memory)]
    assert [finding.passed for finding in wrong] == [False, False, False]
    assert all(finding.mend for finding in wrong)
    assert not doctor.healthy(wrong)
    assert doctor.healthy([doctor.memory(greedy)]), "too little memory is a note, not a refusal"
