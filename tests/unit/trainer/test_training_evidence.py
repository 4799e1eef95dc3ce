"""Snapshots are read as they lie, adapters are signed with what gave them, tensors are compared one by one."""

import json
import struct
from array import array
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts.train_lock import Stage, TrainLock
from tierproof_proofs import snapshots
from tierproof_proofs.errors import NotVerified, ProofError
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.merkle import leaf_hash
from tierproof_proofs.statements import sign_statement, statement_bytes
from tierproof_trainer import curve, dataset, lock_file, provenance, tensors
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.handlers import decimal_of
from tierproof_trainer.jobs import Trained
from tierproof_trainer.reproduce import compared, largest

EXAM = "sha256:" + "5" * 64
KEY, STRANGER = Ed25519Signer.from_seed(bytes(32)), Ed25519Signer.from_seed(bytes([1]) * 32)
TRUSTED = {"key": Ed25519Verifier(KEY.public_key)}


def a_lock() -> TrainLock:
    text = (Path(__file__).parent / "a-train-lock.yaml").read_bytes()
    return lock_file.parsed(text, "a-train-lock.yaml")


def snapshot(folder: Path, *records: dict[str, Any], signer: Ed25519Signer = KEY) -> Path:
    """Write a snapshot of one record or more; with one, its root is its leaf's hash."""
    lines = [json.dumps(record, sort_keys=True).encode() for record in records]
    (folder / snapshots.RECORDS).write_bytes(b"".join(line + b"\n" for line in lines))
    payload = statement_bytes(
        {"dataset": f"sha256:{leaf_hash(lines[0]).hex()}"}, snapshots.PREDICATE, {"clean_of": [EXAM]}
    )
    (folder / snapshots.STATEMENT).write_text(json.dumps(sign_statement(payload, [signer])))
    return folder


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"id": prompt, "label": "internal", "prompt": prompt, "chosen": chosen, "rejected": rejected}


def test_the_facts_of_a_snapshot_are_those_that_were_signed(tmp_path: Path) -> None:
    found = dataset.facts_of(snapshot(tmp_path, {"id": "a", "label": "internal", "text": "x"}), TRUSTED)
    assert found.uid == found.stated
    assert (found.labels, found.clean_of) == (("internal",), (EXAM,))


def test_a_statement_of_a_stranger_is_none(tmp_path: Path) -> None:
    found = dataset.facts_of(snapshot(tmp_path, {"id": "a", "label": "x", "text": "x"}, signer=STRANGER), TRUSTED)
    assert (found.statement, found.stated, found.clean_of) == (None, None, ())


def test_a_changed_record_changes_the_uid(tmp_path: Path) -> None:
    folder = snapshot(tmp_path, {"id": "a", "label": "internal", "text": "x"})
    (folder / snapshots.RECORDS).write_bytes((folder / snapshots.RECORDS).read_bytes().replace(b'"x"', b'"y"'))
    found = dataset.facts_of(folder, TRUSTED)
    assert found.uid != found.stated


def test_no_snapshot_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match="tierproof data build"):
        dataset.facts_of(tmp_path / "nowhere", TRUSTED)


@pytest.mark.parametrize(
    ("stage", "records"),
    [
        ("dpo", [pair("p", "same", " same\n")]),
        ("orpo", [pair("p", "right", "wrong"), pair("p", "other", "right")]),
        ("dpo", [{"id": "a", "prompt": "p", "completion": "c"}]),
        ("sft", [{"id": "a", "text": "t"}]),
    ],
)
def test_poisoned_or_unfit_records_are_refused_by_id(
    tmp_path: Path, stage: Stage, records: list[dict[str, Any]]
) -> None:
    with pytest.raises(TrainingRefused, match=r"record [pa]:"):
        dataset.refuse_poison(snapshot(tmp_path, *records), stage)


def test_honest_preferences_are_taken(tmp_path: Path) -> None:
    dataset.refuse_poison(snapshot(tmp_path, pair("p", "right", "wrong"), pair("q", "wrong", "right")), "dpo")


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "progress.jsonl").write_text("{}\n")
    lines = ({"at": 1.0, "step": 1, "loss": 2.0}, {"at": 2.0, "step": 2, "loss": 1.0})
    files = {"adapter_model.safetensors": "sha256:" + "0" * 64}
    done = Trained(folder=tmp_path, files=files, steps=2, tokens=9, progress=lines, resumed=0)
    return provenance.sign(done, a_lock(), a_lock().environment, KEY, "0.1.0")


def test_provenance_names_lock_base_dataset_and_environment(signed: Path) -> None:
    said, lock = provenance.verified(signed, TRUSTED)
    definition = said.predicate["buildDefinition"]
    resolved = {each["name"]: f"sha256:{each['digest']['sha256']}" for each in definition["resolvedDependencies"]}
    assert resolved[lock.parent.base] == lock.parent.weights
    assert resolved["dataset"] == lock.dataset.uid
    assert "environment" in resolved
    assert definition["externalParameters"]["lock"]["seeds"]["torch"] == lock.seeds.torch
    assert said.predicate["runDetails"]["metadata"]["invocationId"] == lock.digest()


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "train-lock.yaml", "provenance.dsse.json"])
def test_a_changed_file_is_not_the_artifact(signed: Path, file: str) -> None:
    content = (signed / file).read_bytes()
    (signed / file).unlink()
    (signed / file).write_bytes(content.replace(b"e", b"a", 1))
    with pytest.raises((ProofError, ValueError, KeyError)):
        provenance.verified(signed, TRUSTED)


def test_a_file_more_or_less_is_not_the_artifact(signed: Path) -> None:
    (signed / "extra").write_bytes(b"")
    with pytest.raises(NotVerified, match="extra"):
        provenance.verified(signed, TRUSTED)


def test_a_stranger_signs_nothing(signed: Path) -> None:
    with pytest.raises(NotVerified):
        provenance.verified(signed, {"other": Ed25519Verifier(STRANGER.public_key)})


def weights(path: Path, **values: list[float]) -> Path:
    header, chunks, at = {}, [], 0
    for name, numbers in values.items():
        chunk = array("f", numbers).tobytes()
        header[name] = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [at, at + len(chunk)]}
        chunks.append(chunk)
        at += len(chunk)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))
    return path


def test_equal_tensors_are_reproduced_and_others_by_their_bounds(tmp_path: Path) -> None:
    one, other = weights(tmp_path / "1", a=[1.0, 2.0], b=[3.0]), weights(tmp_path / "2", a=[1.0, 2.5], b=[3.0])
    assert compared(one, one, {}).reproduced
    found = compared(one, other, {})
    assert (found.reproduced, found.differing) == (False, {"a": 0.5})
    assert compared(one, other, {"a": 0.5}).reproduced
    assert not compared(one, other, {"a": 0.4}).reproduced
    assert not compared(one, weights(tmp_path / "3", a=[1.0, 2.0]), {"b": 9.0}).reproduced
    assert largest([tensors.read(one), tensors.read(other)]) == {"a": 0.5, "b": 0.0}


def test_what_is_no_number_is_never_within_bounds(tmp_path: Path) -> None:
    one, other = weights(tmp_path / "1", a=[1.0, 2.0]), weights(tmp_path / "2", a=[float("nan"), 2.0])
    assert not compared(one, other, {"a": 1e30}).reproduced
    assert not compared(one, weights(tmp_path / "3", a=[1.0, float("nan")]), {"a": 1e30}).reproduced


def test_the_curve_is_a_picture_of_every_step() -> None:
    picture = curve.svg_of(
        [{"step": step, "loss": 2.0 / step} for step in range(1, 30)] + [{"step": 30, "loss": "nan"}], "a<b"
    )
    assert picture.startswith("<svg")
    assert picture.count(",") >= 58
    assert "a&lt;b" in picture


@pytest.mark.parametrize(("number", "text"), [(1.5, "1.5"), (100.0, "100"), (1e-9, "0"), (2.3456789, "2.345679")])
def test_losses_travel_as_decimals(number: float, text: str) -> None:
    assert decimal_of(number) == text


def test_what_lies_beside_an_artifact_is_named_and_a_missing_file_is_no_matter_of_taste(signed: Path) -> None:
    (signed / "data-card.md").write_text("about it")
    said, _ = provenance.verified(signed, TRUSTED, nothing_else=False)
    assert provenance.unsigned(signed, said) == ["data-card.md"]
    (signed / "train-lock.yaml").unlink()
    with pytest.raises(NotVerified, match=r"train-lock\.yaml"):
        provenance.verified(signed, TRUSTED, nothing_else=False)
