"""Real trainings on the real base, small: a snapshot of a few records, a policy, a lock of a few steps.

bench          everything that a training needs, in a folder of its own; `bench.lock(...)` writes a lock, `bench.train(lock)` runs it
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts.documents import TrainingPolicy
from tierproof_contracts.train_lock import Stage, TrainLock
from tierproof_curator import decide as curating
from tierproof_curator import ngrams, snapshot
from tierproof_curator.records import LABELS, Record
from tierproof_proofs.keys import load_or_create_key
from tierproof_trainer import environment, locking, training
from tierproof_trainer.settings import TrainerSettings

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("TIERPROOF_TRAINER_PYTHON", "")
EXAM_CODE = "int next_index(int head, int step) {\n int moved = head + step;\n if (moved >= 12) { moved = moved - 12; }\n return moved;\n}"
EXAM_PROMPT = (
    "Write a function that gives the next index of a ring of twelve entries and never leaves the ring, please."
)
SMOKE = {
    "hyperparameters.steps": 4,
    "hyperparameters.batch": 2,
    "hyperparameters.warmup_steps": 1,
    "hyperparameters.longest_tokens": 64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A folder with snapshots, jobs, keys and a policy of its own."""

    folder: Path
    settings: TrainerSettings
    policy: TrainingPolicy
    exam: ngrams.SealedSet

    def snapshot(self, records: list[Record]) -> Path:
        """Build a snapshot of records as the curator does."""
        built = snapshot.build(
            ((number, record.line()) for number, record in enumerate(records, 1)),
            into=self.settings.datasets,
            rules=curating.Rules(labels=LABELS, licences=("MIT",)),
            sealed=[self.exam],
            signer=load_or_create_key(self.folder / "curator.pem"),
            memory=2**20,
        )
        return built.folder

    def lock(
        self,
        folder: Path,
        *,
        stage: Stage = "sft",
        base: str = "SmolLM2-135M-Instruct",
        begin_from: Path | None = None,
        **changed: Any,
    ) -> TrainLock:
        """Lock a smoke training."""
        changes = {**SMOKE, **{name.replace("__", "."): value for name, value in changed.items()}}
        wanted = locking.Wanted(
            name="smoke",
            stage=stage,
            base=base,
            suite="exam",
            begin_from=begin_from,
            changed=changes,
        )
        return locking.locked(folder, wanted, self.policy, self.settings)

    def train(self, lock: TrainLock, **given: Any) -> training.Signed:
        """Train a lock on this bench."""
        return training.train(lock, given.pop("policy", self.policy), self.settings, given.pop("tell", lambda _: None))


def completions(count: int = 12) -> list[Record]:
    return [
        Record(
            id=f"r{at}", kind="embedded-fw-c", label="internal", licence="MIT", source="x",
            prompt=f"Say the number {at} as a word.", completion=f"It is number {at}.",
        )
        for at in range(count)
    ]  # fmt: skip


def preferences(count: int = 12) -> list[Record]:
    return [
        Record(
            id=f"p{at}", kind="embedded-fw-c", label="internal", licence="MIT", source="x",
            prompt=f"Say the number {at} as a word.", chosen=f"It is number {at}.", rejected="I guess nine.",
        )
        for at in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of converted bases: one for all tests, or the one that the environment names."""
    named = os.environ.get("TIERPROOF_TRAINER_BASES")
    return Path(named) if named else tmp_path_factory.mktemp("bases")


ASKED_ONCE = functools.cache(environment.described)  # it imports torch to ask, some seconds each time


@pytest.fixture(autouse=True)
def _environment_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "described", ASKED_ONCE)


@pytest.fixture
def bench(tmp_path: Path, bases: Path) -> Bench:
    if not Path(PYTHON).is_file():
        pytest.skip("TIERPROOF_TRAINER_PYTHON names no training environment; `make train-venv` makes one")
    measure = ngrams.Measure()
    path = tmp_path / "exam.sealed"
    items = [ngrams.sealed_item("q1", (EXAM_PROMPT, EXAM_CODE), measure, bytes(16))]
    path.write_bytes(ngrams.written("exam", items, measure, bytes(16)))
    exam = ngrams.read(path)
    policy = TrainingPolicy.model_validate_json((ROOT / "infra" / "fleet" / "training-policy.json").read_bytes())
    limits = policy.limits.model_copy(
        update={"wall_seconds": 600, "silent_seconds": 300, "memory_mib": 4096, "save_every_steps": 2}
    )
    curator = load_or_create_key(tmp_path / "curator.pem")
    settings = TrainerSettings(
        python=Path(PYTHON),
        jobs=tmp_path / "jobs",
        bases=bases,
        datasets=tmp_path / "datasets",
        key_file=tmp_path / "trainer.pem",
        dataset_keys=(curator.public_base64,),
    )
    return Bench(
        folder=tmp_path,
        settings=settings,
        policy=policy.model_copy(update={"suites": {"exam": exam.digest}, "limits": limits}),
        exam=exam,
    )
