"""A snapshot: records in one order, a Merkle root that names them, a signed statement, and nothing that can change.

`<uid>/records.jsonl`, `manifest.json`, `statement.dsse.json`; the uid is `sha256-` and the RFC 6962 root over the canonical lines.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Signer, Verifier
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.statements import Statement, sign_statement, statement_bytes, verify_statement

from tierproof_curator import decide, ngrams
from tierproof_curator.errors import BuildRefused, Contaminated, SnapshotDamaged
from tierproof_curator.records import record_of
from tierproof_curator.sorting import by_digest

RECORDS, MANIFEST, STATEMENT = "records.jsonl", "manifest.json", "statement.dsse.json"
PREDICATE = "urn:tierproof:dataset:v1"
READ_ONLY, READ_ONLY_FOLDER = 0o444, 0o555
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot that stands in a folder: its uid (`sha256:...`), its manifest, the digest of its statement's bytes."""

    folder: Path
    uid: str
    manifest: Mapping[str, Any]
    statement: str


@dataclass(slots=True)
class _Counts:
    records: int = 0
    repeated: int = 0
    size: int = 0
    by: Mapping[str, Counter[str]] = None  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        self.by = {"labels": Counter(), "licences": Counter(), "kinds": Counter(), "sources": Counter()}


def folder_of(uid: str, into: Path) -> Path:
    """Return where a snapshot lies below the folder of snapshots."""
    return into / uid.replace(":", "-")


def build(
    lines: Iterable[tuple[int, bytes]],
    *,
    into: Path,
    rules: decide.Rules,
    sealed: Sequence[ngrams.SealedSet],
    signer: Signer,
    memory: int,
    tell: Tell = lambda _: None,
) -> Snapshot:
    """Build a snapshot from numbered lines, or return the one that stands there with the same records and examinations.

    Raises RecordRefused, Contaminated (all offending records named), BuildRefused. Nothing is visible unless it is whole.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=into, prefix=".building-") as scratch:
            fresh = Path(scratch) / "snapshot"
            fresh.mkdir()
            return _published(_built(lines, fresh, rules, sealed, signer, memory, tell), into)
    except OSError as error:
        raise BuildRefused(f"{into}: {error.strerror or error}; nothing was built: make room and build again") from None


def _built(
    lines: Iterable[tuple[int, bytes]],
    fresh: Path,
    rules: decide.Rules,
    sealed: Sequence[ngrams.SealedSet],
    signer: Signer,
    memory: int,
    tell: Tell,
) -> Snapshot:
    counts = _Counts()
    checked = _checked(lines, rules, sealed, counts, tell)
    root = _write_records(fresh / RECORDS, by_digest(checked, scratch=fresh.parent, memory=memory), counts)
    if counts.records == 0:
        raise BuildRefused("no records: a snapshot of nothing cannot be trained on; name a file with records")
    uid = f"sha256:{root.hex()}"
    manifest: dict[str, Any] = {
        "snapshot": 1,
        "uid": uid,
        "records": counts.records,
        "repeated": counts.repeated,
        "bytes": counts.size,
        **{name: dict(sorted(found.items())) for name, found in counts.by.items()},
        "clean_of": sorted({each.digest for each in sealed}),
        "files": {RECORDS: _digest_of(fresh / RECORDS)},
    }
    _write(fresh / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    payload = statement_bytes({"dataset": uid, RECORDS: manifest["files"][RECORDS]}, PREDICATE, manifest)
    _write(fresh / STATEMENT, (json.dumps(sign_statement(payload, [signer]), indent=1) + "\n").encode())
    return Snapshot(folder=fresh, uid=uid, manifest=manifest, statement=f"sha256:{hashlib.sha256(payload).hexdigest()}")


def _checked(
    lines: Iterable[tuple[int, bytes]],
    rules: decide.Rules,
    sealed: Sequence[ngrams.SealedSet],
    counts: _Counts,
    tell: Tell,
) -> Iterator[bytes]:
    """Yield canonical lines; raises at the end when a record overlaps a sealed set, naming them all."""
    searches = [(each, each.overlapping()) for each in sealed]
    leaks: dict[str, list[tuple[str, str, str]]] = {each.digest: [] for each in sealed}
    for number, line in lines:
        record = record_of(line, number)
        decide.refuse(record, number, rules)
        for each, search in searches:
            if (leak := search.leak_in(record)) is not None:
                leaks[each.digest].append((record.id, *leak))
        counts.by["labels"][record.label] += 1
        counts.by["licences"][record.licence] += 1
        counts.by["kinds"][record.kind] += 1
        counts.by["sources"][record.source.split("/", 1)[0]] += 1
        tell(number)
        yield record.line()
    for digest, found in leaks.items():
        if found:
            raise Contaminated(digest, tuple(found))


def _write_records(path: Path, lines: Iterable[bytes], counts: _Counts) -> bytes:
    tree, before = Frontier(), None
    with path.open("wb", buffering=1 << 20) as file:
        for line in lines:
            if line == before:
                counts.repeated += 1
                continue
            before = line
            tree.append(leaf_hash(line))
            file.write(line + b"\n")
            counts.records += 1
            counts.size += len(line) + 1
        file.flush()
        os.fsync(file.fileno())
    return tree.root()


def _published(built: Snapshot, into: Path) -> Snapshot:
    target = folder_of(built.uid, into)
    for path in built.folder.iterdir():
        path.chmod(READ_ONLY)
    if target.exists():
        there = json.loads((target / MANIFEST).read_text())
        if there != json.loads(json.dumps(built.manifest)):
            because = f"{target}: stands there with another manifest (checked against other examinations?)"
            raise BuildRefused(f"{because}; a snapshot never changes: build into another folder")
        return _standing(target, built)
    built.folder.rename(target)
    target.chmod(READ_ONLY_FOLDER)
    return Snapshot(folder=target, uid=built.uid, manifest=built.manifest, statement=built.statement)


def _standing(target: Path, built: Snapshot) -> Snapshot:
    return Snapshot(folder=target, uid=built.uid, manifest=built.manifest, statement=built.statement)


def verified(folder: Path, trusted: Mapping[str, Verifier]) -> tuple[Snapshot, Statement]:
    """Read a snapshot and hold every byte of it against its uid and its signed statement.

    Raises SnapshotDamaged, naming the first bad record where one can be named: the order by digest shows where a line does not belong.
    """
    try:
        said = verify_statement(json.loads((folder / STATEMENT).read_text()), trusted, PREDICATE)
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise SnapshotDamaged(str(folder), f"not a whole snapshot ({error})") from None
    except ProofError as error:
        raise SnapshotDamaged(f"{folder}/{STATEMENT}", error.diagnosis()) from None
    uid = f"sha256:{_root_of(folder / RECORDS).hex()}"
    if manifest != said.predicate or said.subjects.get("dataset") != manifest.get("uid"):
        raise SnapshotDamaged(f"{folder}/{MANIFEST}", "it is not what the statement says")
    if uid != said.subjects["dataset"]:
        raise SnapshotDamaged(
            f"{folder}/{RECORDS}", f"the records give {uid}, the statement names {said.subjects['dataset']}"
        )
    digest = f"sha256:{hashlib.sha256(said.payload).hexdigest()}"
    return Snapshot(folder=folder, uid=uid, manifest=manifest, statement=digest), said


def _root_of(path: Path) -> bytes:
    tree, before = Frontier(), b""
    with path.open("rb", buffering=1 << 20) as file:
        for number, raw in enumerate(file):
            line = raw.removesuffix(b"\n")
            digest = hashlib.sha256(line).digest()
            if digest <= before or record_of(line, number + 1).line() != line:
                raise SnapshotDamaged(str(path), "its bytes do not belong here", number)
            before = digest
            tree.append(leaf_hash(line))
    return tree.root()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def removed(folder: Path) -> None:
    """Remove a snapshot: for tests and for people who mean it; its files are read-only otherwise."""
    folder.chmod(0o755)
    shutil.rmtree(folder)
