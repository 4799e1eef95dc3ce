"""The service on a real broker with its own user: a request becomes a snapshot that is published, or a rejection, once."""

import asyncio
import json
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tierproof_bus.bus import Bus
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.settings import BusSettings
from tierproof_bus.testing import serving
from tierproof_contracts import subjects
from tierproof_contracts.dataset import DatasetPublishedV1, DatasetRejectedV1, DatasetRequestedV1
from tierproof_curator import ngrams, snapshot
from tierproof_curator.handlers import service
from tierproof_curator.settings import CuratorServiceSettings
from tierproof_proofs import snapshots
from tierproof_proofs.keys import Ed25519Verifier, load_or_create_key

QUESTION = "Write a function that gives the next index of a ring of twelve entries and never leaves the ring, please."
Outcome = TypeVar("Outcome", DatasetPublishedV1, DatasetRejectedV1)
CLEAN, LEAK = "00000001-2222-5333-8444-555555555555", "00000002-2222-5333-8444-555555555555"


def settings_for(nats_server: Any, user: str) -> dict[str, Any]:
    return {
        "nats_url": nats_server.bare_url,
        "nkey_seed_file": nats_server.seed_file(user),
        "allow_unsynced_broker": True,
    }


def laid_out(folder: Path, nats_server: Any) -> CuratorServiceSettings:
    (folder / "inbox").mkdir()
    (folder / "sealed").mkdir()
    measure, key = ngrams.Measure(), bytes(16)
    item = ngrams.sealed_item("q1", (QUESTION,), measure, key)
    (folder / "sealed" / "exam.sealed").write_bytes(ngrams.written("exam", [item], measure, key))
    for name, prompt in (("clean.jsonl", "Add two numbers."), ("leak.jsonl", f"Please: {QUESTION}")):
        record = {
            "id": "r-1", "kind": "triage", "label": "internal", "licence": "MIT", "source": "test", "prompt": prompt,
            "completion": "done",
        }  # fmt: skip
        (folder / "inbox" / name).write_text(json.dumps(record) + "\n")
    return CuratorServiceSettings(
        **settings_for(nats_server, "curator"),
        datasets=folder / "sets",
        key_file=folder / "curator.pem",
        inbox=folder / "inbox",
        sealed=folder / "sealed",
    )


async def outcome(bus: Bus, event: type[Outcome], subject: str) -> Outcome:
    async with asyncio.timeout(30):
        while True:
            found = await bus.read(event, subject)
            if found is not None:
                return found.data
            await asyncio.sleep(0.02)


@pytest.mark.requirement("S6-contamination")
@pytest.mark.requirement("S6-snapshot")
async def test_a_request_becomes_a_snapshot_or_a_rejection(nats_server: Any, tmp_path: Path) -> None:
    settings = laid_out(tmp_path, nats_server)
    exam = ngrams.read(settings.sealed / "exam.sealed").digest
    await provision(BusSettings(**settings_for(nats_server, "provisioner")), Deployment(replicas=1))
    engineer = BusSettings(**settings_for(nats_server, "ml-engineer"))
    async with serving(service(settings)), Bus.connect("ml-engineer", engineer) as bus:
        for identifier, name in ((CLEAN, "clean.jsonl"), (LEAK, "leak.jsonl")):
            asked = DatasetRequestedV1(request_id=identifier, records=name, sealed=(exam,), requested_by="jo.weber")
            await bus.publish(asked)
        published = await outcome(bus, DatasetPublishedV1, subjects.dataset_published(CLEAN))
        rejected = await outcome(bus, DatasetRejectedV1, subjects.dataset_rejected(LEAK))
    trusted = {"curator": Ed25519Verifier(load_or_create_key(settings.key_file).public_key)}
    found, _ = snapshot.verified(snapshots.folder_of(published.uid, settings.datasets), trusted)
    assert (found.statement, published.clean_of) == (published.statement, (exam,))
    assert (rejected.code, rejected.overlapping) == ("contaminated", ("r-1",))
