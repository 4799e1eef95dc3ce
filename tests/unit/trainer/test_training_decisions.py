"""May this training begin? Each missing or contradicting fact denies, by its code."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tierproof_contracts.documents import ApprovedBase, TrainingLimits, TrainingPolicy
from tierproof_contracts.train_lock import TrainLock
from tierproof_trainer import lock_file
from tierproof_trainer.decide import DatasetFacts, ParentFacts, admit
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.locking import changes

BASE, OTHER, UID, SAID, EXAM = (f"sha256:{digit * 64}" for digit in "12345")


def lock_of(**changed: Any) -> TrainLock:
    said: dict[str, Any] = {
        "version": "1",
        "name": "fw",
        "stage": "sft",
        "parent": {"base": "small", "weights": BASE},
        "dataset": {"uid": UID, "statement": SAID},
        "decision": {"kind": "lora", "justification": ""},
        "lora": {"rank": 8, "alpha": 16, "dropout": "0", "targets": ["q_proj"]},
        "hyperparameters": {
            "learning_rate": "0.001", "schedule": "constant", "warmup_steps": 0, "weight_decay": "0", "adam_beta2": "0.99",
            "clip": "1", "batch": 2, "accumulation": 1, "epochs": 1, "longest_tokens": 64, "precision": "fp32",
        },
        "seeds": {"python": 1, "numpy": 2, "torch": 3, "data": 4, "adapter": 5},
        "environment": {"python": "3.11.7", "packages": {"torch": "2.13.0"}, "instruction_set": "AVX2", "threads": 1},
        "evaluation": {"suite": "exam", "sealed": EXAM},
        "reproduction": {"kind": "bitwise"},
    }  # fmt: skip
    return TrainLock.model_validate({**said, **changed})


POLICY = TrainingPolicy(
    version="1",
    bases={"small": ApprovedBase(weights=BASE, licence="Apache-2.0")},
    labels=("internal", "synthetic-verified"),
    suites={"exam": EXAM},
    limits=TrainingLimits(
        wall_seconds=9, silent_seconds=9, memory_mib=9, attempts=1, save_every_steps=1, states_kept=1
    ),
)
DATASET = DatasetFacts(uid=UID, statement=SAID, stated=UID, labels=("internal",), clean_of=(EXAM,))
NO_PARENTS = ParentFacts(adapters={})
CHAINED = {"base": "small", "weights": BASE, "adapter": OTHER, "trained_by": SAID}


def judged(lock: TrainLock, dataset: DatasetFacts = DATASET, parents: ParentFacts = NO_PARENTS, **found: Any) -> str:
    try:
        admit(lock, POLICY, dataset, parents, lock.environment.model_copy(update=found))
    except TrainingRefused as refused:
        return refused.code
    return "admitted"


def test_a_lock_whose_facts_are_all_shown_is_admitted() -> None:
    assert judged(lock_of()) == "admitted"


@pytest.mark.requirement("S6-contamination")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda said: replace(said, statement=None), "no-statement"),
        (lambda said: replace(said, statement=OTHER), "bad-statement"),
        (lambda said: replace(said, stated=OTHER), "bad-statement"),
        (lambda said: replace(said, uid=OTHER), "another-dataset"),
        (lambda said: replace(said, labels=("internal", "scraped")), "label-refused"),
        (lambda said: replace(said, labels=("internal", "None")), "label-refused"),
        (lambda said: replace(said, clean_of=()), "contaminated"),
        (lambda said: replace(said, clean_of=(OTHER,)), "contaminated"),
    ],
)
def test_a_dataset_that_is_not_shown_to_be_right_is_refused(
    change: Callable[[DatasetFacts], DatasetFacts], code: str
) -> None:
    assert judged(lock_of(), change(DATASET)) == code


@pytest.mark.parametrize(
    ("parent", "parents", "code"),
    [
        ({"base": "huge", "weights": BASE}, {}, "unapproved-parent"),
        ({"base": "small", "weights": OTHER}, {}, "unapproved-parent"),
        (CHAINED, {}, "unapproved-parent"),
        (CHAINED, {OTHER: (UID, BASE)}, "unapproved-parent"),
        (CHAINED, {OTHER: (SAID, OTHER)}, "another-base"),
        (CHAINED, {OTHER: (SAID, None)}, "another-base"),
        (CHAINED, {OTHER: (SAID, BASE)}, "admitted"),
    ],
)
def test_a_parent_must_be_approved_or_trained_here_on_the_same_base(
    parent: dict[str, str], parents: dict[str, tuple[str, str | None]], code: str
) -> None:
    assert judged(lock_of(parent=parent), parents=ParentFacts(adapters=parents)) == code


@pytest.mark.parametrize("suite", [{"suite": "other", "sealed": EXAM}, {"suite": "exam", "sealed": OTHER}])
def test_an_examination_that_the_policy_does_not_know_is_no_examination(suite: dict[str, str]) -> None:
    assert judged(lock_of(evaluation=suite)) == "contaminated"


@pytest.mark.parametrize(
    "found",
    [
        {"instruction_set": "AVX512"},
        {"python": "3.12.0"},
        {"cuda": "13"},
        {"driver": "580.1"},
        {"packages": {"torch": "2.12"}},
    ],
)
def test_another_environment_is_refused_for_now(found: dict[str, Any]) -> None:
    assert judged(lock_of(), **found) == "another-environment"


@pytest.mark.parametrize("seed", ["python", "numpy", "torch", "data", "adapter"])
def test_a_lock_without_one_of_its_seeds_is_refused_by_name(seed: str) -> None:
    lines = lock_file.written(lock_of()).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(f"  {seed}: ") or line == "  python: 3.11.7")
    with pytest.raises(TrainingRefused, match=f"seeds.{seed}") as refused:
        lock_file.parsed(text.encode(), "x")
    assert refused.value.code == "bad-lock"


def test_a_written_lock_reads_back_as_the_same_training() -> None:
    lock = lock_of()
    assert lock_file.parsed(lock_file.written(lock).encode(), "x").digest() == lock.digest()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text + "\nname: again\n",
        lambda text: text + "\nnew_member: 1\n",
        lambda text: text.replace("'0.001'", "0.001"),
        lambda text: text + "\nx: !!python/object/apply:os.system ['true']\n",
        lambda text: text + "#" * 70_000,
        lambda text: text.replace("name: fw", "name: '\x00'"),
    ],
)
def test_a_lock_file_that_may_mean_two_things_is_refused(damage: Callable[[str], str]) -> None:
    with pytest.raises(TrainingRefused) as refused:
        lock_file.parsed(damage(lock_file.written(lock_of())).encode(), "x")
    assert refused.value.code == "bad-lock"
    assert refused.value.mend


def test_changes_on_the_command_line_keep_fractions_as_text() -> None:
    assert changes(["a.b=0.001", "c=3", "d=text"]) == {"a.b": "0.001", "c": 3, "d": "text"}
    with pytest.raises(TrainingRefused):
        changes(["nothing"])


def test_a_whole_number_is_a_fraction_and_a_float_is_none() -> None:
    said = lock_of().model_dump(mode="json", exclude_none=True)
    said["hyperparameters"]["weight_decay"] = 0
    assert TrainLock.model_validate(said).hyperparameters.weight_decay == "0"
    said["hyperparameters"]["weight_decay"] = 0.1
    with pytest.raises(ValueError, match="weight_decay"):
        TrainLock.model_validate(said)
