"""Heads for real: what the trainer learns from triage's records, the model server reads, and a second training gives the same bytes."""

import json

import pytest
from tierproof_curator.records import Record
from tierproof_curator.sources import record_of_item
from tierproof_domains import triage
from tierproof_model_server.encoder import Encoder
from tierproof_model_server.encoder_files import encoder_folder
from tierproof_model_server.triage_heads import Heads
from tierproof_proofs import digests
from tierproof_trainer import reproduce, training

from tests.train.conftest import Bench

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]
LEARNED, ASKED = 400, 60


def records() -> list[Record]:
    """Return lessons; the bench believes MIT alone."""
    items = triage.items("train", most=LEARNED)
    return [record_of_item(item).model_copy(update={"licence": "MIT"}) for item in items]


@pytest.mark.requirement("S7.1-locked")
def test_the_server_reads_what_the_trainer_learned_and_a_second_training_gives_the_same_bytes(bench: Bench) -> None:
    lock = bench.lock(
        bench.snapshot(records()),
        stage="heads",
        base="all-MiniLM-L6-v2",
        hyperparameters__steps=100,
        hyperparameters__batch=32,
        hyperparameters__longest_tokens=512,
    )
    done = bench.train(lock)
    found = Heads.read(done.folder / training.WEIGHTS["heads"])
    encoder = Encoder(
        encoder_folder(), threads=1, longest_tokens=found.longest_tokens, sentence_ends=found.sentence_ends
    )
    right = 0
    for item in triage.items("validation", most=ASKED):
        reading, labels = json.loads(found.reading(encoder.vectors(item.prompt))), json.loads(item.answer)
        outside = reading["out_of_domain_micro"] > 500_000
        right += outside if labels["out_of_domain"] == "yes" else not outside and reading["kind"] == labels["kind"]
    assert right >= 0.9 * ASKED
    again = reproduce.again(lock, bench.policy, bench.settings, bench.folder / "again", lambda _: None)
    assert digests.of_file(again) == done.artifact
