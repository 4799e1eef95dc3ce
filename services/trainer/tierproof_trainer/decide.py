"""May this training begin? Pure: values in, a refusal or nothing out. Absence of evidence denies."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tierproof_contracts.documents import TrainingPolicy
from tierproof_contracts.train_lock import Environment, TrainLock

from tierproof_trainer.errors import TrainingRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What the signed statement of a snapshot says, and what its folder holds.

    uid: the root that was computed from the records now; statement: digest of the statement's bytes, None where there is none or no
    trusted key has signed it; stated: the uid in the statement; labels: those of its records; clean_of: sealed test sets it was
    checked against and found free of.
    """

    uid: str
    statement: str | None
    stated: str | None
    labels: Collection[str]
    clean_of: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentFacts:
    """Adapters that may be trained on: weights digest -> (the lock that gave it, the base's weights that it says it fits)."""

    adapters: Mapping[str, tuple[str, str | None]]


def admit(
    lock: TrainLock, policy: TrainingPolicy, dataset: DatasetFacts, parents: ParentFacts, found: Environment
) -> None:
    """Raise TrainingRefused with the first reason why this lock may not be trained; return when there is none."""
    _base(lock, policy)
    _adapter(lock, parents)
    _dataset(lock, policy, dataset)
    _sealed(lock, policy, dataset)
    if differing := differences(lock.environment, found):
        mend = "train where the lock says, or lock anew here"
        raise TrainingRefused("another-environment", "environment: " + "; ".join(differing), mend, again=True)


def _base(lock: TrainLock, policy: TrainingPolicy) -> None:
    approved = policy.bases.get(lock.parent.base)
    if approved is None or approved.weights != lock.parent.weights:
        because = f"parent: {lock.parent.base} with weights {lock.parent.weights} is not approved"
        raise TrainingRefused(
            "unapproved-parent", because, f"the training policy {policy.version} approves {sorted(policy.bases)}"
        )


def _adapter(lock: TrainLock, parents: ParentFacts) -> None:
    if lock.parent.adapter is None:
        return
    known = parents.adapters.get(lock.parent.adapter)
    if known is None or known[0] != lock.parent.trained_by:
        because = f"parent.adapter: {lock.parent.adapter} was not completed here by the lock {lock.parent.trained_by}"
        raise TrainingRefused("unapproved-parent", because, "train the stage before first, from its lock")
    if known[1] != lock.parent.weights:
        because = f"parent.adapter: it fits the base with weights {known[1]}, the lock names {lock.parent.weights}"
        raise TrainingRefused("another-base", because, "an adapter goes on learning on its own base only")


def _dataset(lock: TrainLock, policy: TrainingPolicy, dataset: DatasetFacts) -> None:
    if dataset.uid != lock.dataset.uid:
        because = f"dataset.uid: the lock names {lock.dataset.uid}, the records there give {dataset.uid}"
        raise TrainingRefused("another-dataset", because, "fetch the snapshot again, or lock the one that is there")
    if dataset.statement is None:
        because = f"dataset: {dataset.uid} has no statement that a trusted key has signed"
        raise TrainingRefused(
            "no-statement", because, "build the snapshot with `tierproof data build`, which signs one"
        )
    if dataset.statement != lock.dataset.statement or dataset.stated != dataset.uid:
        because = (
            f"dataset.statement: locked {lock.dataset.statement}, found {dataset.statement} about {dataset.stated}"
        )
        raise TrainingRefused("bad-statement", because, "lock the statement that belongs to the snapshot")
    if refused := sorted(set(dataset.labels) - set(policy.labels)):
        because = f"dataset: records labelled {', '.join(refused)}"
        raise TrainingRefused("label-refused", because, f"the training policy allows {', '.join(policy.labels)}")


def _sealed(lock: TrainLock, policy: TrainingPolicy, dataset: DatasetFacts) -> None:
    """A2: no training on the evaluation set. That it was not checked counts as if it overlapped."""
    wanted = policy.suites.get(lock.evaluation.suite)
    if wanted is None or wanted != lock.evaluation.sealed:
        because = f"evaluation: the policy knows no suite {lock.evaluation.suite} with the sealed set {lock.evaluation.sealed}"
        raise TrainingRefused("contaminated", because, "name a suite of the training policy, with its digest")
    if lock.evaluation.sealed not in dataset.clean_of:
        because = f"dataset: not shown to be free of the sealed set {lock.evaluation.sealed}"
        raise TrainingRefused(
            "contaminated", because, "build the snapshot with this sealed set named: the build fails where they overlap"
        )


def differences(locked: Environment, found: Environment) -> list[str]:
    """Return in words what differs; empty when the locked bytes may be expected."""
    pairs = [
        ("python", locked.python, found.python),
        ("instruction_set", locked.instruction_set, found.instruction_set),
    ]
    pairs += [("cuda", str(locked.cuda), str(found.cuda)), ("driver", str(locked.driver), str(found.driver))]
    names = sorted({*locked.packages, *found.packages})
    pairs += [(name, locked.packages.get(name, "absent"), found.packages.get(name, "absent")) for name in names]
    return [f"{name}: locked {wanted}, found {there}" for name, wanted, there in pairs if wanted != there]
