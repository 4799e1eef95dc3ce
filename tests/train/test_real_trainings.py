"""Real trainings: the same lock gives the same bytes, deaths change nothing, stages chain, and what goes wrong is told by its code."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts.train_lock import TrainLock
from tierproof_curator.errors import Contaminated
from tierproof_curator.records import Record
from tierproof_proofs import digests
from tierproof_proofs.keys import Ed25519Verifier, load_key
from tierproof_trainer import jobs, provenance, reproduce, training
from tierproof_trainer.errors import TrainingRefused

from tests.train.conftest import EXAM_CODE, Bench, completions, preferences

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]
FRESH_RUNS = int(os.environ.get("TIERPROOF_FRESH_RUNS", "3"))  # five are in loadtests/train_reproduction.py


def code_of(work: Callable[[], Any]) -> str:
    with pytest.raises(TrainingRefused) as refused:
        work()
    assert refused.value.mend
    return refused.value.code


@pytest.mark.requirement("S4-lora")
@pytest.mark.requirement("S4-sft")
def test_fresh_runs_of_one_lock_give_one_digest_and_a_signed_adapter(bench: Bench) -> None:
    lock = bench.lock(bench.snapshot(completions()))
    first = bench.train(lock)
    said, of = provenance.verified(
        first.folder, {"trainer": Ed25519Verifier(load_key(bench.settings.key_file).public_key)}
    )
    assert (said.subjects["adapter_model.safetensors"], of) == (first.artifact, lock)
    found = {first.artifact}
    for run in range(1, FRESH_RUNS):
        path = reproduce.again(lock, bench.policy, bench.settings, bench.folder / f"again-{run}", lambda _: None)
        found.add(digests.of_file(path))
    assert found == {first.artifact}


def test_a_killed_job_resumes_to_the_bytes_of_an_unbroken_one(bench: Bench) -> None:
    lock = bench.lock(bench.snapshot(completions()))
    killed: list[int] = []

    def kill_at_step_three(line: dict[str, Any]) -> None:
        if line.get("began"):
            killed.append(line["pid"])
        if line.get("step") == 3 and len(killed) == 1:
            os.kill(killed[0], signal.SIGKILL)

    broken = bench.train(lock, tell=kill_at_step_three)
    assert len(killed) == 2
    assert broken.job.resumed == 1
    unbroken = reproduce.again(lock, bench.policy, bench.settings, bench.folder / "again", lambda _: None)
    assert digests.of_file(unbroken) == broken.artifact


@pytest.mark.requirement("S4-pref")
def test_dpo_goes_on_from_the_adapter_of_sft_by_digest(bench: Bench) -> None:
    first = bench.train(bench.lock(bench.snapshot(completions())))
    lock = bench.lock(bench.snapshot(preferences()), stage="dpo", begin_from=first.folder)
    assert lock.parent.adapter == first.artifact
    second = bench.train(lock)
    said, _ = provenance.verified(
        second.folder, {"trainer": Ed25519Verifier(load_key(bench.settings.key_file).public_key)}
    )
    resolved = {
        each["name"]: each["digest"]["sha256"] for each in said.predicate["buildDefinition"]["resolvedDependencies"]
    }
    assert f"sha256:{resolved['parent-adapter']}" == first.artifact != second.artifact


def texts(count: int = 12) -> list[Record]:
    return [
        Record(
            id=f"t{at}", kind="embedded-fw-c", label="internal", licence="MIT", source="x",
            text=f"The watchdog of unit {at} is fed by the scheduler and by nobody else.",
        )
        for at in range(count)
    ]  # fmt: skip


@pytest.mark.requirement("S4-dapt")
@pytest.mark.requirement("S4-pref")
def test_adaptation_to_the_domain_chains_into_orpo_and_both_come_out_the_same_again(bench: Bench) -> None:
    first = bench.train(dapt := bench.lock(bench.snapshot(texts()), stage="dapt"))
    lock = bench.lock(bench.snapshot(preferences()), stage="orpo", begin_from=first.folder)
    second = bench.train(lock)
    assert lock.parent.adapter == first.artifact != second.artifact
    again = reproduce.again(dapt, bench.policy, bench.settings, bench.folder / "again", lambda _: None)
    assert digests.of_file(again) == first.artifact
    for done in (first, second):
        losses = [line["loss"] for line in done.job.progress]
        assert len(losses) == 4
        assert all(0 < loss < 20 for loss in losses)
    assert code_of(lambda: bench.lock(bench.snapshot(texts()), stage="orpo")) == "no-records"


def test_a_loss_that_is_no_number_ends_the_training(bench: Bench) -> None:
    lock = bench.lock(
        bench.snapshot(completions()),
        hyperparameters__learning_rate="999999999999",
        hyperparameters__weight_decay="999999999999",
        hyperparameters__warmup_steps=0,
        hyperparameters__schedule="constant",
        hyperparameters__steps=6,
    )
    assert code_of(lambda: bench.train(lock)) == "not-a-number"
    assert not (jobs.folder_of(lock, bench.settings.jobs) / provenance.SIGNED).exists()


def test_a_record_that_is_too_long_is_refused_not_cut(bench: Bench) -> None:
    lock = bench.lock(bench.snapshot(completions()), hyperparameters__longest_tokens=9)
    assert code_of(lambda: bench.train(lock)) == "too-long"


def test_a_file_that_may_not_grow_leaves_no_artifact(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = bench.lock(bench.snapshot(completions()))
    small = bench.folder / "python-with-small-files"
    small.write_text(f'#!/bin/bash\ntrap "" XFSZ\nulimit -f 2048\nexec {bench.settings.python} "$@"\n')
    small.chmod(0o755)
    settings = bench.settings.model_copy(update={"python": small})
    code = code_of(lambda: training.train(lock, bench.policy, settings, lambda _: None))
    folder = jobs.folder_of(lock, bench.settings.jobs)
    assert code == "io"
    assert not (folder / provenance.SIGNED).exists()
    assert not (folder / "artifact").exists()


@pytest.mark.requirement("A2")
@pytest.mark.requirement("S6-contamination")
def test_what_was_renamed_from_the_sealed_set_never_becomes_a_lock(bench: Bench) -> None:
    renamed = EXAM_CODE.replace("next_index", "foo").replace("head", "a").replace("step", "b").replace("moved", "c")
    leak = Record(
        id="leak", kind="embedded-fw-c", label="internal", licence="MIT", source="x", prompt="p", completion=renamed
    )
    with pytest.raises(Contaminated, match="leak"):
        bench.snapshot([*completions(), leak])


@pytest.mark.requirement("A2")
def test_a_lock_that_names_another_examination_is_refused_when_it_is_run(bench: Bench) -> None:
    lock = bench.lock(bench.snapshot(completions()))
    policy = bench.policy.model_copy(update={"suites": {"exam": "sha256:" + "9" * 64}})
    assert code_of(lambda: bench.train(lock, policy=policy)) == "contaminated"
    moved = lock.model_copy(update={"evaluation": lock.evaluation.model_copy(update={"sealed": "sha256:" + "9" * 64})})
    assert code_of(lambda: bench.train(moved, policy=policy)) == "contaminated"
    assert not bench.settings.jobs.exists()


def test_a_statement_that_is_gone_or_a_strangers_refuses(bench: Bench) -> None:
    folder = bench.snapshot(completions())
    lock = bench.lock(folder)
    stranger = replace(bench, settings=bench.settings.model_copy(update={"dataset_keys": ()}))
    assert code_of(lambda: stranger.train(lock)) == "no-statement"
    folder.chmod(0o755)
    (folder / "statement.dsse.json").unlink()
    assert code_of(lambda: bench.train(lock)) == "no-statement"


def test_an_adapter_that_was_not_trained_here_is_no_parent(bench: Bench, tmp_path: Path) -> None:
    lock: TrainLock = bench.lock(bench.snapshot(completions()))
    parent = lock.parent.model_copy(update={"adapter": "sha256:" + "7" * 64, "trained_by": "sha256:" + "8" * 64})
    assert code_of(lambda: bench.train(lock.model_copy(update={"parent": parent}))) == "unapproved-parent"
