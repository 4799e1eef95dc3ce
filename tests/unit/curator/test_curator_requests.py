"""What a request for a snapshot comes to, without a broker: published, or rejected by a code, and a rejection is kept, signed."""

import json
from pathlib import Path
from typing import Any

import pytest
from tierproof_bus.settings import BusSettings
from tierproof_contracts.dataset import DatasetPublishedV1, DatasetRejectedV1, DatasetRequestedV1
from tierproof_curator import ngrams, rejection
from tierproof_curator.handlers import outcome_of
from tierproof_curator.settings import CuratorServiceSettings
from tierproof_proofs.keys import Ed25519Verifier, load_or_create_key
from tierproof_proofs.snapshots import PREDICATE
from tierproof_proofs.statements import verify_statement

QUESTION = "Write a function that gives the next index of a ring of twelve entries and never leaves the ring, please."
REQUEST = "7c1f3b0e-2f5d-5a3e-9c66-1d2f3a4b5c6d"


@pytest.fixture
def settings(tmp_path: Path) -> CuratorServiceSettings:
    bus = BusSettings(nats_url="nats://nowhere", nkey_seed_file=tmp_path / "none")
    found = CuratorServiceSettings(
        **bus.model_dump(),
        datasets=tmp_path / "sets",
        key_file=tmp_path / "curator.pem",
        inbox=tmp_path / "inbox",
        sealed=tmp_path / "sealed",
    )
    for folder in (found.inbox, found.sealed):
        folder.mkdir()
    measure, key = ngrams.Measure(), bytes(16)
    (found.sealed / "exam.sealed").write_bytes(
        ngrams.written("exam", [ngrams.sealed_item("q1", (QUESTION,), measure, key)], measure, key)
    )
    return found


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"r-{number}", "kind": "triage", "label": "internal", "licence": "MIT", "source": "unit",
        "prompt": f"question {number}", "completion": "answer", **changes,
    }  # fmt: skip


def asked(settings: CuratorServiceSettings, **changes: Any) -> DatasetRequestedV1:
    sealed = (ngrams.read(settings.sealed / "exam.sealed").digest,)
    given = {
        "request_id": REQUEST,
        "records": "in.jsonl",
        "sealed": sealed,
        "requested_by": "jo.weber",
        **changes,
    }
    return DatasetRequestedV1(**given)


def delivered(settings: CuratorServiceSettings, *records: dict[str, Any]) -> Path:
    path = settings.inbox / "in.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


@pytest.mark.requirement("S6-snapshot")
def test_a_request_is_published_with_a_statement_that_verifies(settings: CuratorServiceSettings) -> None:
    delivered(settings, record(1), record(2))
    outcome = outcome_of(asked(settings), settings)
    assert isinstance(outcome, DatasetPublishedV1)
    signer = Ed25519Verifier(load_or_create_key(settings.key_file).public_key)
    envelope = outcome.envelope.model_dump(mode="json", by_alias=True)
    said = verify_statement(envelope, {"curator": signer}, PREDICATE)
    assert said.subjects["dataset"] == outcome.uid
    assert (outcome.records, outcome.labels, outcome.clean_of) == (2, {"internal": 2}, asked(settings).sealed)
    assert outcome_of(asked(settings), settings) == outcome


@pytest.mark.requirement("S6-contamination")
def test_records_from_an_examination_are_refused_by_event_with_a_signed_record(
    settings: CuratorServiceSettings,
) -> None:
    path = delivered(settings, record(1), record(2, prompt=QUESTION))
    outcome = outcome_of(asked(settings), settings)
    assert isinstance(outcome, DatasetRejectedV1)
    assert (outcome.code, outcome.overlapping) == ("contaminated", ("r-2",))
    assert "ring" not in outcome.because
    (kept,) = (settings.datasets / rejection.FOLDER).iterdir()
    signer = Ed25519Verifier(load_or_create_key(settings.key_file).public_key)
    said = verify_statement(json.loads(kept.read_text()), {"curator": signer}, rejection.PREDICATE)
    assert said.predicate["overlapping"] == [{"record": "r-2", "item": "q1", "view": "words"}]
    assert b"ring" not in said.payload
    assert outcome_of(asked(settings), settings) == outcome
    assert list((settings.datasets / rejection.FOLDER).iterdir()) == [kept]
    assert [each.name for each in settings.datasets.iterdir()] == [rejection.FOLDER]
    assert path.exists()


@pytest.mark.parametrize(
    ("records", "changes", "code"),
    [
        ([record(1, label="scraped")], {}, "bad-record"),
        ([record(1, licence="GPL-3.0-only")], {}, "bad-record"),
        ([record(1)], {"records": "other.jsonl"}, "unknown-file"),
        ([record(1)], {"sealed": ("sha256:" + "0" * 64,)}, "unknown-sealed-set"),
        ([], {}, "cannot-build"),
    ],
)
def test_what_cannot_be_built_is_rejected_by_its_code(
    settings: CuratorServiceSettings, records: list[dict[str, Any]], changes: dict[str, Any], code: str
) -> None:
    delivered(settings, *records)
    outcome = outcome_of(asked(settings, **changes), settings)
    assert isinstance(outcome, DatasetRejectedV1)
    assert (outcome.code, outcome.overlapping) == (code, ())


def test_a_rejection_that_cannot_be_kept_is_still_a_rejection(settings: CuratorServiceSettings) -> None:
    delivered(settings, record(2, prompt=QUESTION))
    settings.datasets.mkdir()
    (settings.datasets / rejection.FOLDER).write_text("in the way")
    outcome = outcome_of(asked(settings), settings)
    assert isinstance(outcome, DatasetRejectedV1)
    assert outcome.code == "cannot-build"
    assert "r-2" in outcome.because
