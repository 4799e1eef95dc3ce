"""`tierproof up --training`: records in the inbox become a snapshot and a signed adapter by two commands, all of it in the ledger."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack
from tierproof_proofs import snapshots

from tests.command_line import Ran, tierproof
from tests.integration.trainer.stand_in import stand_in

PARTS = ("curator", "trainer", "evidence-ledger")
POLICY = Path(__file__).resolve().parents[3] / "infra" / "fleet" / "training-policy.json"
SECONDS = 60.0


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """Run curator, trainer and ledger; the command line finds them, and the training process is a stand-in."""
    home = tmp_path / "state"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIERPROOF_TRAINER_PYTHON", str(stand_in(tmp_path / "python")))
    monkeypatch.setenv("TIERPROOF_HOME", str(home))
    async with running_stack(EmbeddedSettings(home=home, model_engine="noop", only=PARTS, training=True)) as running:
        yield running


def record(number: int, prompt: str) -> str:
    said = {"id": f"r-{number}", "kind": "triage", "label": "internal", "licence": "MIT", "source": "test"}
    return json.dumps({**said, "prompt": prompt, "completion": "done"}) + "\n"


async def typed(*arguments: object) -> Ran:
    return await asyncio.to_thread(tierproof, *arguments, "--json")


async def recorded(types: set[str]) -> list[dict[str, Any]]:
    """Return the ledger's events of training once every one of the types is there."""
    async with asyncio.timeout(SECONDS):
        while True:
            found: list[dict[str, Any]] = (await typed("ledger", "query", "--all")).value["entries"]
            told = [each for each in found if each["type"].startswith(("dataset.", "training."))]
            if types <= {each["type"] for each in told}:
                return told
            await asyncio.sleep(0.1)


@pytest.mark.requirement("S6-snapshot")
@pytest.mark.requirement("S7.1-locked")
async def test_records_become_a_signed_adapter_by_event_and_the_ledger_knows(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, curator = stack.layout.training, stack.layout.keys / "curator.pem"
    exam = at / "sealed" / "embedded-fw-c-1.sealed"
    (at / "inbox" / "lessons.jsonl").write_text("".join(record(number, f"Add {number} and 2.") for number in range(20)))
    asked = await typed("data", "request", "lessons.jsonl", "--sealed", exam, "--wait", SECONDS)
    assert asked.code == 0, asked.out + asked.err
    uid = asked.value["published"]["uid"]
    (at / "inbox" / "odd.jsonl").write_text("{}\n")
    odd = await typed("data", "request", "odd.jsonl", "--sealed", exam, "--wait", SECONDS)
    assert (odd.code, odd.value["ok"], odd.value["rejected"]["code"]) == (1, False, "bad-record")

    monkeypatch.setenv("TIERPROOF_TRAINER_POLICY", str(POLICY))
    snapshot = snapshots.folder_of(uid, at / "datasets")
    locked = await typed("train", "lock", snapshot, "--dataset-key", curator, "--name", "sums", "--stage", "sft")
    assert locked.code == 0, locked.out + locked.err
    trained = await typed("train", "request", "train-lock.yaml", "--wait", SECONDS)
    assert trained.code == 0, trained.out + trained.err
    again = await typed("train", "request", "train-lock.yaml", "--wait", SECONDS)
    assert (again.value["new"], again.value["completed"]) == (False, trained.value["completed"])

    lock = locked.value["lock"]
    signed = at / "jobs" / lock.removeprefix("sha256:") / "signed"
    verified = await typed("train", "verify", signed, "--signer", stack.layout.keys / "trainer.pem")
    assert verified.value["files"]["adapter_model.safetensors"] == trained.value["completed"]["artifact"]
    types = {"dataset.requested.v1", "dataset.published.v1", "dataset.rejected.v1"}
    told = await recorded(types | {"training.requested.v1", "training.completed.v1"})
    assert len(told) == 6, [each["type"] for each in told]
