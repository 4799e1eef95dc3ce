"""The same lock once more, in a process, folder, user, time zone, language and hash seed of its own, and its tensors compared.

The answer is a signed statement that names the instruction set on which it holds. Bounds for what is not bitwise are measured and signed
beforehand, by runs that differ in what may differ, such as the number of threads.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tierproof_contracts.documents import TrainingPolicy
from tierproof_contracts.train_lock import Reproduction, TrainLock
from tierproof_proofs import digests
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Verifier, Signer, Verifier
from tierproof_proofs.statements import sign_statement, statement_bytes, verify_statement

from tierproof_trainer import jobs, tensors, training
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.settings import TrainerSettings

REPRODUCTION, BOUNDS = "urn:tierproof:reproduction:v1", "urn:tierproof:reproduction-bounds:v1"
ELSEWHERE = {"TZ": "Pacific/Chatham", "LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "4711"}
RECORD = "reproduction.dsse.json"
NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How two runs of a lock compare: tensors that differ, with the largest absolute difference each; whether that is within bounds."""

    first: str
    second: str
    tensors: int
    differing: Mapping[str, float]
    reproduced: bool


def again(lock: TrainLock, policy: TrainingPolicy, settings: TrainerSettings, into: Path, tell: jobs.Tell) -> Path:
    """Train a lock anew into a folder, whatever was trained before; return the weights file. Raises TrainingRefused."""
    ready = training.admitted(lock, policy, settings, training.signer_of(settings))
    inputs = replace(ready.inputs, user=other_user(ready.inputs))
    folder = jobs.folder_of(lock, into)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if inputs.user is not None:
        into.chmod(0o711)
        os.chown(folder, inputs.user, inputs.user)
    with _elsewhere():
        done = jobs.run(lock, inputs, jobs=into, limits=policy.limits, tell=tell)
    return done.artifact / training.WEIGHTS[lock.decision.kind]


def other_user(inputs: jobs.Inputs) -> int | None:
    """Return a user to train as who is not this one: None unless we may choose, and they can read all that training needs."""
    if os.geteuid() != 0:
        return None
    bases = sorted(inputs.bases.rglob("*"))
    needed = (inputs.python, inputs.weights, inputs.records, inputs.bases, *bases, Path(__file__))
    argv = [str(inputs.python), "-c", "import os, sys; sys.exit(not all(os.access(p, os.R_OK) for p in sys.argv[1:]))"]
    try:
        asked = subprocess.run(
            [*argv, *map(str, needed)], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False
        )
    except OSError:
        return None
    return NOBODY if asked.returncode == 0 else None


def reproduce(
    lock: TrainLock, policy: TrainingPolicy, settings: TrainerSettings, into: Path, tell: jobs.Tell
) -> tuple[Compared, Path]:
    """Compare a lock's artifact with a second run of it; return the outcome and the file of its signed record.

    Raises TrainingRefused: without a first run here, and for bounds that nobody trusted has signed.
    """
    first = jobs.finished(jobs.folder_of(lock, settings.jobs))
    if first is None:
        because = f"{lock.digest()} has no artifact in {settings.jobs}"
        raise TrainingRefused("not-reproduced", because, "`tierproof train run` first; then reproduce")
    signer = training.signer_of(settings)
    bounds = _bounds(lock, settings, {"trainer": Ed25519Verifier(signer.public_key)})
    weights = first.artifact / training.WEIGHTS[lock.decision.kind]
    second = again(lock, policy, settings, into, tell)
    found = compared(weights, second, bounds)
    other = second.stat().st_uid != os.geteuid()
    return found, _signed_record(lock, found, first.folder / RECORD, signer, other_user=other)


def compared(one: Path, other: Path, bounds: Mapping[str, float]) -> Compared:
    """Compare two weights files tensor by tensor; a tensor without a bound must be the same to the bit."""
    left, right = tensors.read(one), tensors.read(other)
    missing = {name: float("inf") for name in left.keys() ^ right.keys()}
    differing = {
        name: tensors.difference(left[name], right[name])
        for name in sorted(left.keys() & right.keys())
        if left[name].digest != right[name].digest
    }
    differing |= missing
    return Compared(
        first=digests.of_file(one),
        second=digests.of_file(other),
        tensors=len(left),
        differing=differing,
        reproduced=all(by <= bounds.get(name, 0.0) for name, by in differing.items()),
    )


def calibrate(
    lock: TrainLock,
    threads: Sequence[int],
    policy: TrainingPolicy,
    settings: TrainerSettings,
    into: Path,
    tell: jobs.Tell,
) -> tuple[TrainLock, Path]:
    """Train a lock once per number of threads, sign the largest difference per tensor, and return the lock that names these bounds."""
    runs = []
    for count in threads:
        varied = lock.model_copy(
            update={
                "environment": lock.environment.model_copy(update={"threads": count}),
                "reproduction": Reproduction(kind="bitwise"),
            }
        )
        runs.append(tensors.read(again(varied, policy, settings, into, tell)))
    bounds = largest(runs)
    predicate = {
        "instruction_set": lock.environment.instruction_set,
        "threads": list(threads),
        "bounds": {name: _decimal(by) for name, by in bounds.items()},
    }
    payload = statement_bytes({"recipe": recipe_of(lock)}, BOUNDS, predicate)
    digest = digests.of_bytes(payload)
    path = settings.jobs / "bounds" / f"{digest.removeprefix('sha256:')}.dsse.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sign_statement(payload, [training.signer_of(settings)]), indent=1) + "\n")
    return lock.model_copy(update={"reproduction": Reproduction(kind="bounded", bounds=digest)}), path


def largest(runs: Sequence[Mapping[str, tensors.Tensor]]) -> dict[str, float]:
    """Return the largest absolute difference of each tensor over all pairs of runs."""
    return {
        name: max(
            (tensors.difference(one[name], other[name]) for at, one in enumerate(runs) for other in runs[at + 1 :]),
            default=0.0,
        )
        for name in runs[0]
    }


def recipe_of(lock: TrainLock) -> str:
    """Return the digest of a lock without the member that names its bounds, which are measured for it."""
    return lock.model_copy(update={"reproduction": Reproduction(kind="bitwise")}).digest()


def _bounds(lock: TrainLock, settings: TrainerSettings, trusted: Mapping[str, Verifier]) -> Mapping[str, float]:
    if lock.reproduction.bounds is None:
        return {}
    path = settings.jobs / "bounds" / f"{lock.reproduction.bounds.removeprefix('sha256:')}.dsse.json"
    mend = "`tierproof train reproduce --calibrate N` measures and signs bounds before the training"
    try:
        said = verify_statement(json.loads(path.read_text()), trusted, BOUNDS)
    except (OSError, ValueError) as error:
        raise TrainingRefused("not-reproduced", f"{path}: {error}", mend) from None
    except ProofError as error:
        raise TrainingRefused("not-reproduced", f"{path}: {error.diagnosis()}", mend) from None
    if digests.of_bytes(said.payload) != lock.reproduction.bounds or said.subjects.get("recipe") != recipe_of(lock):
        raise TrainingRefused("not-reproduced", f"{path}: not the bounds of this lock", mend)
    return {name: float(by) for name, by in said.predicate["bounds"].items()}


def _signed_record(lock: TrainLock, found: Compared, path: Path, signer: Signer, *, other_user: bool) -> Path:
    predicate: dict[str, Any] = {
        "lock": lock.digest(),
        "kind": lock.reproduction.kind,
        "reproduced": found.reproduced,
        "holds_on": {
            "instruction_set": lock.environment.instruction_set,
            "packages": dict(lock.environment.packages),
            "threads": lock.environment.threads,
        },
        "elsewhere": {**ELSEWHERE, "other_user": other_user, "other_folder": True},
        "tensors": found.tensors,
        "differing": {name: _decimal(by) for name, by in found.differing.items()},
    }
    payload = statement_bytes({"first": found.first, "second": found.second}, REPRODUCTION, predicate)
    path.write_text(json.dumps(sign_statement(payload, [signer]), indent=1) + "\n")
    return path


def _decimal(number: float) -> str:
    """Return a float exactly, as text: it reads back as the same number."""
    return "infinite" if number == float("inf") else str(Decimal(number))


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Let the next process find another time zone, language and hash seed."""
    before = {name: os.environ.get(name) for name in ELSEWHERE}
    os.environ.update(ELSEWHERE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
