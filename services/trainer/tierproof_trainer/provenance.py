"""Who made an adapter, from what, how: SLSA provenance v1 (https://slsa.dev/spec/v1.1/provenance) in an in-toto statement, DSSE-signed."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tierproof_contracts.canonical import digest_of
from tierproof_contracts.train_lock import Environment, TrainLock
from tierproof_proofs import digests
from tierproof_proofs.errors import NotVerified
from tierproof_proofs.keys import Signer, Verifier
from tierproof_proofs.statements import SLSA_PROVENANCE, Statement, sign_statement, statement_bytes, verify_statement

from tierproof_trainer import lock_file
from tierproof_trainer.jobs import Trained
from tierproof_trainer.stages.job import PROGRESS

BUILD_TYPE, BUILDER = "urn:tierproof:training:v1", "urn:tierproof:trainer"
LOCK, PROVENANCE, SIGNED = "train-lock.yaml", "provenance.dsse.json", "signed"


def sign(trained: Trained, lock: TrainLock, found: Environment, signer: Signer, builder_version: str) -> Path:
    """Return the folder of the signed artifact: its files, the lock, the provenance; made whole or not at all, and only once."""
    target = trained.folder / SIGNED
    if (target / PROVENANCE).is_file():
        return target
    with tempfile.TemporaryDirectory(dir=trained.folder, prefix=".signing-") as scratch:
        fresh = Path(scratch) / SIGNED
        fresh.mkdir()
        for name in trained.files:
            os.link(trained.artifact / name, fresh / name)
        (fresh / LOCK).write_text(lock_file.written(lock))
        subjects = {path.name: digests.of_file(path) for path in sorted(fresh.iterdir())}
        payload = statement_bytes(subjects, SLSA_PROVENANCE, predicate_of(trained, lock, found, builder_version))
        (fresh / PROVENANCE).write_text(json.dumps(sign_statement(payload, [signer]), indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    return target


def predicate_of(trained: Trained, lock: TrainLock, found: Environment, builder_version: str) -> dict[str, Any]:
    """Return the predicate: what was asked (the lock), what it was resolved to, who ran it and when."""
    environment = found.model_dump(mode="json", exclude_none=True)
    resolved = {
        lock.parent.base: lock.parent.weights,
        "dataset": lock.dataset.uid,
        "dataset-statement": lock.dataset.statement,
        "environment": digest_of(environment),
        **({"parent-adapter": lock.parent.adapter} if lock.parent.adapter else {}),
        **({"parent-lock": lock.parent.trained_by} if lock.parent.trained_by else {}),
    }
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"lock": lock.model_dump(mode="json", exclude_none=True)},
            "internalParameters": {"environment": environment},
            "resolvedDependencies": [
                {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
                for name, digest in resolved.items()
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"tierproof-trainer": builder_version}},
            "metadata": {
                "invocationId": lock.digest(),
                "startedOn": _instant(trained.progress[0]["at"]),
                "finishedOn": _instant(trained.progress[-1]["at"]),
            },
            "byproducts": [
                {
                    "name": PROGRESS,
                    "digest": {"sha256": digests.of_file(trained.folder / PROGRESS).removeprefix("sha256:")},
                },
            ],
        },
    }


def verified(
    folder: Path, trusted: Mapping[str, Verifier], *, nothing_else: bool = True
) -> tuple[Statement, TrainLock]:
    """Hold a signed artifact against its provenance and return what that says. Raises ProofError, OSError, ValueError, TrainingRefused.

    Every file that is stated must be there with its digest, and, unless others may lie beside, no other file; the lock in the folder is
    the one that was built.
    """
    said = verify_statement(json.loads((folder / PROVENANCE).read_text()), trusted, SLSA_PROVENANCE)
    beside = unsigned(folder, said) if nothing_else else []
    if lacking := sorted({*beside, *(name for name in said.subjects if not (folder / name).is_file())}):
        raise NotVerified(f"{folder}: {lacking[0]} is not both there and in the provenance")
    for name, digest in said.subjects.items():
        if (found := digests.of_file(folder / name)) != digest:
            raise NotVerified(f"{folder / name}: has {found}, its provenance names {digest}")
    lock = lock_file.lock_from(folder / LOCK)
    metadata = said.predicate.get("runDetails", {}).get("metadata", {})
    if metadata.get("invocationId") != lock.digest():
        raise NotVerified(f"{folder / LOCK}: is the lock {lock.digest()}, built was {metadata.get('invocationId')}")
    return said, lock


def unsigned(folder: Path, said: Statement) -> list[str]:
    """Return the names of what lies in a folder beside the files that its provenance speaks of."""
    return sorted({path.name for path in folder.iterdir()} - said.subjects.keys() - {PROVENANCE})


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
