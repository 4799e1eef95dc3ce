"""A snapshot as it lies in its folder, read for what the decision needs: nothing that it says of itself is believed unsigned."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof_contracts.train_lock import Stage
from tierproof_proofs import digests
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Verifier
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.snapshots import PREDICATE, RECORDS, STATEMENT, SUBJECT
from tierproof_proofs.statements import Statement, verify_statement

from tierproof_trainer.decide import DatasetFacts
from tierproof_trainer.errors import TrainingRefused

FORMS: Mapping[Stage, frozenset[str]] = {
    "dapt": frozenset({"text"}),
    "sft": frozenset({"prompt", "completion"}),
    "task-lora": frozenset({"prompt", "completion"}),
    "heads": frozenset({"text", "labels"}),
    "dpo": frozenset({"prompt", "chosen", "rejected"}),
    "orpo": frozenset({"prompt", "chosen", "rejected"}),
}


@dataclass(slots=True)
class _Preferences:
    """What is preferred to what, by digest: one answer may not be chosen here and rejected there for the same prompt."""

    chosen: set[bytes]
    rejected: set[bytes]


def facts_of(folder: Path, trusted: Mapping[str, Verifier]) -> DatasetFacts:
    """Return what a snapshot's signed statement says and what its records give. Raises TrainingRefused when there are no records."""
    uid, labels = _read(folder / RECORDS)
    said = _statement(folder / STATEMENT, trusted)
    if said is None:
        return DatasetFacts(uid=uid, statement=None, stated=None, labels=labels, clean_of=())
    clean_of = said.predicate.get("clean_of")
    return DatasetFacts(
        uid=uid,
        statement=digests.of_bytes(said.payload),
        stated=said.subjects.get(SUBJECT),
        labels=labels,
        clean_of=tuple(clean_of) if isinstance(clean_of, list) else (),
    )


def refuse_poison(folder: Path, stage: Stage) -> None:
    """Raise TrainingRefused when a record has not the form of the stage, or a preference prefers nothing or contradicts another."""
    kept = _Preferences(chosen=set(), rejected=set())
    for number, record in enumerate(_records(folder / RECORDS)):
        where = f"record {record.get('id', number)}"
        if not FORMS[stage] <= record.keys():
            because = f"{where}: the stage {stage} learns from {', '.join(sorted(FORMS[stage]))}"
            raise TrainingRefused("no-records", because, "build the snapshot with records of this form")
        if "chosen" in FORMS[stage]:
            _refuse_preference(where, record, kept)


def _refuse_preference(where: str, record: Mapping[str, Any], kept: _Preferences) -> None:
    mend = "leave the pair out and build the snapshot again"
    if record["chosen"].strip() == record["rejected"].strip():
        raise TrainingRefused("no-records", f"{where}: chosen equals rejected: it teaches that nothing matters", mend)
    chosen, rejected = (
        hashlib.sha256(json.dumps([record["prompt"], record[name].strip()]).encode()).digest()
        for name in ("chosen", "rejected")
    )
    if chosen in kept.rejected or rejected in kept.chosen:
        raise TrainingRefused("no-records", f"{where}: an answer to this prompt is both chosen and rejected", mend)
    kept.chosen.add(chosen)
    kept.rejected.add(rejected)


def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the Merkle root over the lines, and the labels found in the records themselves."""
    tree, labels = Frontier(), set()
    for line in _lines(path):
        tree.append(leaf_hash(line))
        labels.add(str(_parsed(path, line).get("label")))
    return f"sha256:{tree.root().hex()}", tuple(sorted(labels))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    return (_parsed(path, line) for line in _lines(path))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                yield line.removesuffix(b"\n")
    except OSError as error:
        mend = "name the folder that `tierproof data build` printed"
        raise TrainingRefused("another-dataset", f"{path}: {error.strerror}", mend) from None


def _parsed(path: Path, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise TrainingRefused("another-dataset", f"{path}: a line is no record", "build the snapshot again")
    return record


def _statement(path: Path, trusted: Mapping[str, Verifier]) -> Statement | None:
    try:
        return verify_statement(json.loads(path.read_text()), trusted, PREDICATE)
    except (OSError, ValueError, ProofError):
        return None  # whatever is wrong with it: nobody who is trusted has said it
