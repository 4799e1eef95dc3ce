"""A whole lock from little: the snapshot asked, the environment asked, and defaults that are then written out, not kept here."""

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tierproof_contracts.documents import TrainingPolicy
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.train_lock import Stage, TrainLock
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Verifier

from tierproof_trainer import dataset, environment, provenance
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.settings import TrainerSettings
from tierproof_trainer.training import WEIGHTS, dataset_signers, signer_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person says of a lock: its name, stage, suite, the signed artifact to go on from, and what shall not be as by default."""

    name: str
    stage: Stage
    base: str
    suite: str
    begin_from: Path | None
    changed: Mapping[str, Any]


def policy_from(path: Path) -> TrainingPolicy:
    """Return the training policy in a file. Raises TrainingRefused."""
    mend = "name one by TIERPROOF_TRAINER_POLICY; infra/fleet/training-policy.json is one"
    try:
        return TrainingPolicy.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TrainingRefused("bad-lock", f"{path}: {error.strerror}", mend) from None
    except ValidationError as error:
        raise TrainingRefused("bad-lock", f"{path}: {explain_validation(error)}", mend) from None


def locked(folder: Path, wanted: Wanted, policy: TrainingPolicy, settings: TrainerSettings) -> TrainLock:
    """Return the lock for a snapshot. Raises TrainingRefused: a lock that could not be trained is not written."""
    facts = dataset.facts_of(folder, dataset_signers(settings))
    if facts.statement is None:
        because = f"{folder}: no statement that a trusted key has signed"
        raise TrainingRefused("no-statement", because, "name the curator's key by --dataset-key")
    if facts.stated != facts.uid:
        because = f"{folder}: the records give {facts.uid}, the statement speaks of {facts.stated}"
        raise TrainingRefused("another-dataset", because, "fetch the snapshot again")
    dataset.refuse_poison(folder, wanted.stage)
    if wanted.base not in policy.bases or wanted.suite not in policy.suites:
        because = (
            f"the policy {policy.version} knows the bases {sorted(policy.bases)} and the suites {sorted(policy.suites)}"
        )
        raise TrainingRefused("unapproved-parent", because, "name one of each by --base and --suite")
    default = json.loads((importlib.resources.files("tierproof_trainer") / "defaults.json").read_text())
    parent = {"base": wanted.base, "weights": policy.bases[wanted.base].weights, **_begun(wanted.begin_from, settings)}
    hyperparameters = {**default["hyperparameters"], **default["stages"].get(wanted.stage, {})}
    said = {
        "version": "1",
        "name": wanted.name,
        "stage": wanted.stage,
        "parent": parent,
        "dataset": {"uid": facts.uid, "statement": facts.statement},
        **_shape(wanted.stage, default),
        "hyperparameters": hyperparameters,
        "seeds": default["seeds"],
        "environment": environment.described(settings.python.absolute(), default["threads"]).model_dump(),
        "evaluation": {"suite": wanted.suite, "sealed": policy.suites[wanted.suite]},
        "reproduction": {"kind": "bitwise"},
    }
    try:
        return TrainLock.model_validate(_changed(said, wanted.changed))
    except ValidationError as error:
        raise TrainingRefused("bad-lock", explain_validation(error), "see `tierproof train lock --help`") from None


def changes(texts: list[str]) -> dict[str, Any]:
    """Return `--set member.part=value` as values: JSON where it is some other than a fraction, else text. Raises TrainingRefused."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise TrainingRefused("bad-lock", f"--set {text}", "write member.part=value")
        try:
            parsed = json.loads(value, parse_float=str)
        except ValueError:
            parsed = value
        found[name.strip()] = parsed
    return found


def _shape(stage: Stage, default: dict[str, Any]) -> dict[str, Any]:
    """Return what is trained: a LoRA by default, or a classifier's heads."""
    if stage == "heads":
        return {"decision": {"kind": "heads", "justification": ""}, "heads": default["heads"]}
    return {"decision": default["decision"], "lora": default["lora"]}


def _changed(said: dict[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in changed.items():
        at: Any = said
        *way, last = name.split(".")
        for part in way:
            at = at.get(part) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise TrainingRefused("bad-lock", f"--set {name}: a lock has no such member", "see `tierproof train show`")
        at[last] = value
    return said


def _begun(artifact: Path | None, settings: TrainerSettings) -> dict[str, str]:
    """Return what the lock says of the signed artifact of the stage before."""
    if artifact is None:
        return {}
    try:
        said, of = provenance.verified(artifact, {"trainer": Ed25519Verifier(signer_of(settings).public_key)})
    except (OSError, ValueError, ProofError) as error:
        diagnosis = error.diagnosis() if isinstance(error, ProofError) else str(error)
        because = f"{artifact}: {diagnosis}"
        raise TrainingRefused("unapproved-parent", because, "name a folder that `tierproof train run` signed") from None
    if WEIGHTS["lora"] not in said.subjects:
        raise TrainingRefused("unapproved-parent", f"{artifact}: holds no adapter", "begin from an adapter")
    return {"adapter": said.subjects[WEIGHTS["lora"]], "trained_by": of.digest()}
