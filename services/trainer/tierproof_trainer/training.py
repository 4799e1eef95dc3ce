"""One training from lock to signed artifact: admitted, run, signed. What the service does, and what the command line does."""

import contextlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tierproof_contracts.documents import TrainingPolicy
from tierproof_contracts.train_lock import Environment, TrainLock
from tierproof_proofs import snapshots
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier, Verifier, load_or_create_key

from tierproof_trainer import dataset, decide, environment, jobs, learning, provenance, tensors
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.settings import TrainerSettings

REFUSED = "refused.json"  # in the job's folder: why its last attempt gave nothing
WEIGHTS = {"lora": "adapter_model.safetensors", "full": "model.safetensors", "heads": "heads.safetensors"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A training's outcome: the job, the folder of the signed artifact, the digest of its weights."""

    job: jobs.Trained
    folder: Path
    artifact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A lock that may be trained: its job's inputs, and the environment as it was found."""

    inputs: jobs.Inputs
    found: Environment


def train(
    lock: TrainLock,
    policy: TrainingPolicy,
    settings: TrainerSettings,
    tell: jobs.Tell,
    stopping: Callable[[], bool] = lambda: False,
) -> Signed:
    """Train a lock, once: a second call finds the artifact. Blocks. Raises TrainingRefused, ProofError for a key that is unusable."""
    signer = signer_of(settings)
    ready = admitted(lock, policy, settings, signer)
    told: list[dict[str, Any]] = []

    def heard(line: dict[str, Any]) -> None:
        tell(line)
        told.append(line)
        learning.refuse_still(told, policy.learning)

    try:
        done = jobs.run(lock, ready.inputs, jobs=settings.jobs, limits=policy.limits, tell=heard, stopping=stopping)
        refuse_unlearned(done, lock, policy)
    except TrainingRefused as refused:
        _record(refused, jobs.folder_of(lock, settings.jobs))
        raise
    try:
        folder = provenance.sign(done, lock, ready.found, signer, version("tierproof-trainer"))
    except OSError as error:
        mend = "make room and ask again: it is trained, only to be signed"
        raise TrainingRefused("disk-full", f"{done.folder}: {error.strerror}", mend, again=True) from None
    return Signed(job=done, folder=folder, artifact=done.files[WEIGHTS[lock.decision.kind]])


def refuse_unlearned(done: jobs.Trained, lock: TrainLock, policy: TrainingPolicy) -> None:
    """Raise TrainingRefused for an artifact that is not worth signing; it stays where it is, unsigned."""
    learning.refuse_still(done.progress, policy.learning)
    learning.refuse_worse(done.progress, policy.learning)
    weights = done.artifact / WEIGHTS[lock.decision.kind]
    if lock.decision.kind == "lora":
        try:
            found = tensors.read(weights)
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            because = f"{weights}: no safetensors ({error})"
            raise TrainingRefused("io", because, "delete the job's folder and train again") from None
        learning.refuse_unmoved(found)


def _record(refused: TrainingRefused, folder: Path) -> None:
    """Write down why a lock gives nothing here, however often it is tried; a full disk is told by the refusal itself."""
    said = {"code": refused.code, "because": refused.because, "mend": refused.mend}
    if not refused.again:
        with contextlib.suppress(OSError):
            (folder / REFUSED).write_text(json.dumps(said, indent=1) + "\n")


def admitted(lock: TrainLock, policy: TrainingPolicy, settings: TrainerSettings, signer: Ed25519Signer) -> Admitted:
    """Gather what is known of a lock's inputs and let the decision judge it. Raises TrainingRefused."""
    snapshot = snapshots.folder_of(lock.dataset.uid, settings.datasets)
    facts = dataset.facts_of(snapshot, dataset_signers(settings))
    parents, begin_from = _parents(lock, settings, signer)
    found = environment.described(settings.python.absolute(), lock.environment.threads)
    decide.admit(lock, policy, facts, parents, found)
    dataset.refuse_poison(snapshot, lock.stage)
    inputs = jobs.Inputs(
        python=settings.python.absolute(),
        weights=(settings.encoder if lock.stage == "heads" else settings.weights).absolute(),
        records=(snapshot / snapshots.RECORDS).absolute(),
        begin_from=begin_from,
        bases=settings.bases.absolute(),
    )
    return Admitted(inputs=inputs, found=found)


def signer_of(settings: TrainerSettings) -> Ed25519Signer:
    """Return the key that signs provenance, made when there is none. Raises UnusableKey, TrainingRefused."""
    try:
        settings.key_file.parent.mkdir(parents=True, exist_ok=True)
        return load_or_create_key(settings.key_file)
    except OSError as error:
        raise TrainingRefused(
            "io", f"{settings.key_file}: {error.strerror}", "name a folder that can be written to"
        ) from None


def dataset_signers(settings: TrainerSettings) -> Mapping[str, Verifier]:
    """Return whose statements about snapshots are believed. Raises Malformed."""
    return {f"dataset-{at}": Ed25519Verifier.from_base64(key) for at, key in enumerate(settings.dataset_keys)}


def _parents(
    lock: TrainLock, settings: TrainerSettings, signer: Ed25519Signer
) -> tuple[decide.ParentFacts, Path | None]:
    """Return what is known of the adapter that the lock begins from: only what this trainer has signed counts."""
    if lock.parent.trained_by is None:
        return decide.ParentFacts(adapters={}), None
    folder = settings.jobs / lock.parent.trained_by.removeprefix("sha256:") / provenance.SIGNED
    try:
        said, of = provenance.verified(folder, {"trainer": Ed25519Verifier(signer.public_key)})
    except (ProofError, OSError, ValueError, TrainingRefused):
        return decide.ParentFacts(adapters={}), None
    weights: Any = said.subjects.get(WEIGHTS["lora"])
    facts = decide.ParentFacts(adapters={weights: (of.digest(), of.parent.weights)} if weights else {})
    return facts, folder.absolute()
