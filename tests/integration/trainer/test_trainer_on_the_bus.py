"""The service on a real broker with its own user: a lock is trained once or refused with a record. The training process is a stand-in."""

import asyncio
import json
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tierproof_bus.bus import Bus
from tierproof_bus.documents import PAYLOAD_TYPE
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.settings import BusSettings
from tierproof_bus.testing import serving
from tierproof_contracts import subjects
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import DsseEnvelope, PolicyPublishedV1, TrainingPolicy
from tierproof_contracts.train_lock import TrainLock
from tierproof_contracts.training import TrainingCompletedV1, TrainingFailedV1, TrainingRequestedV1
from tierproof_proofs import snapshots
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier, load_or_create_key
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import leaf_hash
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.statements import SLSA_PROVENANCE, sign_statement, statement_bytes, verify_statement
from tierproof_proofs.trust import Trust
from tierproof_trainer import lock_file, locking, training
from tierproof_trainer.handlers import service
from tierproof_trainer.settings import TrainerServiceSettings

from tests.command_line import tierproof
from tests.integration.trainer.stand_in import stand_in

POLICY_FILE = Path(__file__).resolve().parents[3] / "infra" / "fleet" / "training-policy.json"
REGISTRY = Ed25519Signer.from_seed(b"\x07" * 32)
EXAM = "sha256:" + "5" * 64
Outcome = TypeVar("Outcome", TrainingCompletedV1, TrainingFailedV1)


def for_user(server: Any, user: str) -> dict[str, Any]:
    return {"nats_url": server.bare_url, "nkey_seed_file": server.seed_file(user), "allow_unsynced_broker": True}


def settings_in(folder: Path, server: Any) -> TrainerServiceSettings:
    python = stand_in(folder / "python")
    log = NoteSigner(name="ledger.example/tests", signer=REGISTRY).verifier_key
    trust = Trust(log_keys=(LogKey(key=log),), documents={"registry": Ed25519Verifier(REGISTRY.public_key)})
    (folder / "trust.json").write_text(trust.to_json())
    return TrainerServiceSettings(
        **for_user(server, "trainer"),
        trust_file=folder / "trust.json",
        python=python,
        jobs=folder / "jobs",
        bases=folder / "bases",
        datasets=folder / "datasets",
        key_file=folder / "trainer.pem",
        policy=folder / "policy.json",
        dataset_keys=(load_or_create_key(folder / "curator.pem").public_base64,),
    )


def snapshot(folder: Path, clean_of: list[str]) -> Path:
    line = json.dumps({"id": "a", "label": "internal", "prompt": "p", "completion": "c"}).encode()
    uid = f"sha256:{leaf_hash(line).hex()}"
    into = folder / "datasets" / uid.replace(":", "-")
    into.mkdir(parents=True)
    (into / snapshots.RECORDS).write_bytes(line + b"\n")
    payload = statement_bytes({"dataset": uid}, snapshots.PREDICATE, {"clean_of": clean_of})
    (into / snapshots.STATEMENT).write_text(
        json.dumps(sign_statement(payload, [load_or_create_key(folder / "curator.pem")]))
    )
    return into


def policy_in(folder: Path) -> TrainingPolicy:
    delivered = TrainingPolicy.model_validate_json(POLICY_FILE.read_bytes())
    policy = delivered.model_copy(update={"suites": {"exam": EXAM}})
    (folder / "policy.json").write_text(policy.model_dump_json())
    return policy


def lock_of(at: Path, policy: TrainingPolicy, settings: TrainerServiceSettings, name: str = "fw") -> TrainLock:
    wanted = locking.Wanted(
        name=name, stage="sft", base="SmolLM2-135M-Instruct", suite="exam", begin_from=None, changed={}
    )
    return locking.locked(at, wanted, policy, settings)


async def in_force(policy: TrainingPolicy, server: Any) -> None:
    await provision(BusSettings(**for_user(server, "provisioner")), Deployment(replicas=1))
    payload = canonical_json(policy.model_dump(mode="json", exclude_none=True))
    envelope = DsseEnvelope.model_validate(sign_envelope(PAYLOAD_TYPE, payload, [REGISTRY]))
    async with Bus.connect("registry", BusSettings(**for_user(server, "registry"))) as registry:
        await registry.publish(PolicyPublishedV1(name="training-policy", digest=policy.digest(), envelope=envelope))


async def outcome(bus: Bus, event: type[Outcome], subject: str) -> Outcome:
    async with asyncio.timeout(30):
        while True:
            found = await bus.read(event, subject)
            if found is not None:
                return found.data
            await asyncio.sleep(0.02)


@pytest.mark.requirement("S4-lora")
async def test_a_lock_is_trained_once_and_its_completion_carries_signed_provenance(
    nats_server: Any, tmp_path: Path
) -> None:
    settings, policy = settings_in(tmp_path, nats_server), policy_in(tmp_path)
    lock = lock_of(snapshot(tmp_path, [EXAM]), policy, settings)
    await in_force(policy, nats_server)
    async with Bus.connect("ml-engineer", BusSettings(**for_user(nats_server, "ml-engineer"))) as bus:
        await bus.publish(TrainingRequestedV1(lock=lock, requested_by="jo.weber"))
        async with serving(service(settings)):
            done = await outcome(bus, TrainingCompletedV1, subjects.training_completed(lock.digest()))
    again = await asyncio.to_thread(training.train, lock, policy, settings, lambda _: None)
    assert again.artifact == done.artifact
    key = Ed25519Verifier(load_or_create_key(settings.key_file).public_key)
    said = verify_statement(done.provenance.model_dump(), {"trainer": key}, SLSA_PROVENANCE)
    assert said.subjects["adapter_model.safetensors"] == done.artifact
    assert (done.first_loss, done.last_loss) == ("2", "1")
    folder = settings.jobs / lock.digest().removeprefix("sha256:")
    assert (folder / "runs").read_text() == "run\n"


@pytest.mark.requirement("S4-lora")
async def test_an_artifact_that_holds_no_tensors_is_refused_with_a_record(nats_server: Any, tmp_path: Path) -> None:
    settings, policy = settings_in(tmp_path, nats_server), policy_in(tmp_path)
    lock = lock_of(snapshot(tmp_path, [EXAM]), policy, settings, "senseless")
    await in_force(policy, nats_server)
    async with Bus.connect("ml-engineer", BusSettings(**for_user(nats_server, "ml-engineer"))) as bus:
        await bus.publish(TrainingRequestedV1(lock=lock, requested_by="jo.weber"))
        async with serving(service(settings)):
            failed = await outcome(bus, TrainingFailedV1, subjects.training_failed(lock.digest(), 1))
    assert (failed.code, failed.again) == ("io", False)
    assert "no safetensors" in failed.because


@pytest.mark.requirement("A2")
async def test_training_on_what_is_not_shown_clean_is_refused_by_event_with_a_record(
    nats_server: Any, tmp_path: Path
) -> None:
    settings, policy = settings_in(tmp_path, nats_server), policy_in(tmp_path)
    lock = lock_of(snapshot(tmp_path, []), policy, settings)
    await in_force(policy, nats_server)
    async with (
        serving(service(settings)),
        Bus.connect("ml-engineer", BusSettings(**for_user(nats_server, "ml-engineer"))) as bus,
    ):
        await bus.publish(TrainingRequestedV1(lock=lock, requested_by="jo.weber"))
        refused = await outcome(bus, TrainingFailedV1, subjects.training_failed(lock.digest(), 1))
        assert await bus.read(TrainingCompletedV1, subjects.training_completed(lock.digest())) is None
    assert (refused.code, refused.again, refused.attempt) == ("contaminated", False, 1)
    assert not settings.jobs.exists()


@pytest.fixture
def command(nats_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainerServiceSettings:
    settings = settings_in(tmp_path, nats_server)
    for name in ("python", "jobs", "bases", "datasets", "key_file", "policy"):
        monkeypatch.setenv(f"TIERPROOF_TRAINER_{name.upper()}", str(getattr(settings, name)))
    return settings


def said_by(*words: str) -> tuple[int, dict[str, Any]]:
    ran = tierproof("train", *words, "--json")
    return ran.code, ran.value


@pytest.mark.requirement("A2")
def test_the_command_line_refuses_it_too_and_does_a_clean_one(command: TrainerServiceSettings, tmp_path: Path) -> None:
    policy_in(tmp_path)
    dirty, clean = tmp_path / "dirty", tmp_path / "clean"
    for folder, clean_of in ((dirty, []), (clean, [EXAM])):
        folder.mkdir()
        load_or_create_key(folder / "curator.pem")
        at, file = snapshot(folder, clean_of), folder / "lock.yaml"
        key = str(folder / "curator.pem")
        assert (
            said_by("lock", str(at), "--suite", "exam", "--stage", "sft", "--to", str(file), "--dataset-key", key)[0]
            == 0
        )
    where = ["--dataset-key", str(dirty / "curator.pem"), "--dataset-key", str(clean / "curator.pem")]
    (tmp_path / "datasets").symlink_to(dirty / "datasets")
    code, refused = said_by("run", str(dirty / "lock.yaml"), *where)
    assert (code, refused["code"]) == (1, "contaminated")
    (tmp_path / "datasets").unlink()
    (tmp_path / "datasets").symlink_to(clean / "datasets")
    code, done = said_by("run", str(clean / "lock.yaml"), *where)
    assert (code, done["ok"], done["steps"]) == (0, True, 2)
    assert Path(done["curve"]).read_text().startswith("<svg")
    assert said_by("show", str(clean / "lock.yaml"))[1]["state"] == "trained and signed"
    believed = ("--signer", str(command.key_file))
    assert said_by("verify", done["folder"], *believed)[1]["files"]["adapter_model.safetensors"] == done["artifact"]
    assert said_by("verify", done["folder"], "--signer", str(clean / "curator.pem"))[0] == 1
    (Path(done["folder"]) / "one-more").write_text("x")
    code, verified = said_by("verify", done["folder"], *believed)
    assert (code, verified["unsigned"]) == (0, ["one-more"])
    weights = Path(done["folder"]) / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content + b"x")
    assert said_by("verify", done["folder"], *believed)[0] == 1


@pytest.mark.parametrize("words", [("run", "nowhere.yaml"), ("show", "nowhere.yaml"), ("lock", "nowhere")])
def test_a_mistake_is_told_without_a_traceback(command: TrainerServiceSettings, words: tuple[str, ...]) -> None:
    code, said = said_by(*words)
    assert code == 1
    assert said["diagnosis"]


def test_a_lock_of_a_changed_file_is_another_training(command: TrainerServiceSettings, tmp_path: Path) -> None:
    policy = policy_in(tmp_path)
    lock = lock_of(snapshot(tmp_path, [EXAM]), policy, command)
    path = tmp_path / "lock.yaml"
    path.write_text(lock_file.written(lock).replace("torch: 13", "torch: 14"))
    assert said_by("show", str(path))[1]["digest"] != lock.digest()
