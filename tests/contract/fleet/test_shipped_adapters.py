"""What is shipped holds together: bytes, provenance, lock, snapshot, examination, policy and evaluation of an adapter name one another."""

import json
import lzma
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tierproof_contracts.documents import FleetManifest, RoutingPolicy, TrainingPolicy
from tierproof_contracts.train_lock import TrainLock
from tierproof_curator import ngrams
from tierproof_proofs import digests
from tierproof_proofs.keys import Ed25519Verifier
from tierproof_proofs.snapshots import RECORDS, STATEMENT, folder_of
from tierproof_trainer import dataset, decide, lock_file, provenance
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.training import WEIGHTS

FLEET = Path(__file__).parents[3] / "infra/fleet"
MANIFEST = FleetManifest.model_validate_json((FLEET / "fleet-manifest.json").read_bytes())
ROUTING = RoutingPolicy.model_validate_json((FLEET / "routing-policy.json").read_bytes())
TRAINING = TrainingPolicy.model_validate_json((FLEET / "training-policy.json").read_bytes())
LOCKS = sorted((FLEET / "adapters").glob(f"*/{provenance.LOCK}"))
LARGEST = 10_000_000  # bytes of one file of an adapter
PINS = MANIFEST.adapters | ({"triage": MANIFEST.triage.heads} if MANIFEST.triage and MANIFEST.triage.heads else {})

each_adapter = pytest.mark.parametrize("folder", [lock.parent for lock in LOCKS], ids=lambda folder: folder.name)


def signers(folder: str) -> Mapping[str, Ed25519Verifier]:
    found = json.loads((FLEET / folder / "signers.json").read_text())
    return {name: Ed25519Verifier.from_base64(key) for name, key in found.items()}


def lock_of(folder: Path) -> TrainLock:
    return lock_file.lock_from(folder / provenance.LOCK)


def unpacked(lock: TrainLock, into: Path) -> Path:
    """Unpack the snapshot that a lock names, as a reader would."""
    folder = folder_of(lock.dataset.uid, FLEET / "datasets")
    (into / RECORDS).write_bytes(lzma.decompress((folder / f"{RECORDS}.xz").read_bytes()))
    shutil.copy(folder / STATEMENT, into / STATEMENT)
    return into


def test_every_pinned_adapter_is_shipped_with_its_lock_and_every_shipped_one_is_pinned() -> None:
    assert LOCKS
    assert {lock.parent.name for lock in LOCKS} == PINS.keys()


@each_adapter
@pytest.mark.requirement("S7.2-lineage")
def test_the_pinned_bytes_are_those_that_the_provenance_says_the_lock_gave(folder: Path) -> None:
    said, lock = provenance.verified(folder, signers("adapters"), nothing_else=False)
    pin = PINS[folder.name]
    assert pin is not None
    assert said.subjects[WEIGHTS[lock.decision.kind]] == pin.digest
    assert lock.name == folder.name
    assert all(path.stat().st_size < LARGEST for path in folder.iterdir())


@each_adapter
@pytest.mark.requirement("S7.1-locked", "S6-snapshot")
def test_the_lock_would_be_admitted_today_with_the_snapshot_that_lies_beside_it(folder: Path, tmp_path: Path) -> None:
    lock = lock_of(folder)
    facts = dataset.facts_of(unpacked(lock, tmp_path), signers("datasets"))
    decide.admit(lock, TRAINING, facts, decide.ParentFacts(adapters={}), lock.environment)
    dataset.refuse_poison(tmp_path, lock.stage)


@each_adapter
@pytest.mark.requirement("S6-snapshot")
def test_a_changed_record_makes_the_lock_refused(folder: Path, tmp_path: Path) -> None:
    lock = lock_of(folder)
    records = unpacked(lock, tmp_path) / RECORDS
    records.write_bytes(records.read_bytes().replace(b"a", b"b", 1))
    facts = dataset.facts_of(tmp_path, signers("datasets"))
    with pytest.raises(TrainingRefused):
        decide.admit(lock, TRAINING, facts, decide.ParentFacts(adapters={}), lock.environment)


@each_adapter
@pytest.mark.requirement("S7.1-locked")
def test_the_examination_is_the_locked_one_and_each_of_its_items_can_be_found_again(folder: Path) -> None:
    lock = lock_of(folder)
    path = FLEET / "examinations" / f"{lock.evaluation.suite}.sealed"
    assert digests.of_file(path) == lock.evaluation.sealed == TRAINING.suites[lock.evaluation.suite]
    assert [item.name for item in ngrams.read(path).items if not item.views] == []


@pytest.mark.requirement("S4-lora")
def test_the_fleet_routes_to_nothing_that_was_not_measured_to_help() -> None:
    routed = {name for kind in ROUTING.kinds.values() for name in kind.adapters.values()}
    assert routed
    for name in sorted(routed):
        measured = json.loads((FLEET / "adapters" / name / "evaluation.json").read_text())
        low, _ = measured["adapter_over_base"]["interval"]
        assert low > 0, name
