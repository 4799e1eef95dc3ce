"""A snapshot: records in one order, a Merkle root that names them, a signed statement, and nothing that can change.

`<uid>/records.jsonl`, `leaves.bin`, `manifest.json`, `statement.dsse.json`; the uid is `sha256-` and the RFC 6962 root over the
canonical lines.
"""

import errno
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof_proofs import digests
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Signer, Verifier
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.snapshots import MANIFEST, PREDICATE, RECORDS, STATEMENT, SUBJECT, folder_of
from tierproof_proofs.statements import Statement, sign_statement, statement_bytes, verify_statement

from tierproof_curator import decide, leaves, ngrams
from tierproof_curator.errors import BuildRefused, Contaminated, SnapshotDamaged
from tierproof_curator.records import LineLimits, Record, record_of
from tierproof_curator.sorting import by_digest

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

    def add(self, record: Record, times: int = 1) -> None:
        """Count a record; `times` is -1 for one that turns out to be a repetition."""
        self.by["labels"][record.label] += times
        self.by["licences"][record.licence] += times
        self.by["kinds"][record.kind] += times
        self.by["sources"][record.source.split("/", 1)[0]] += times


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
        "files": {RECORDS: digests.of_file(fresh / RECORDS)},
    }
    _write(fresh / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    payload = _payload(manifest)
    _write(fresh / STATEMENT, (json.dumps(sign_statement(payload, [signer]), indent=1) + "\n").encode())
    return Snapshot(folder=fresh, uid=uid, manifest=manifest, statement=digests.of_bytes(payload))


def _checked(
    lines: Iterable[tuple[int, bytes]],
    rules: decide.Rules,
    sealed: Sequence[ngrams.SealedSet],
    counts: _Counts,
    tell: Tell,
) -> Iterator[bytes]:
    """Yield canonical lines; raises at the end when a record overlaps a sealed set, naming them all."""
    searches = [(each, each.overlapping()) for each in sealed]
    overlaps: dict[str, list[tuple[str, str, str]]] = {each.digest: [] for each in sealed}
    for number, line in lines:
        record = record_of(line, number)
        decide.refuse(record, number, rules)
        for each, search in searches:
            if (leak := search.leak_in(record)) is not None:
                overlaps[each.digest].append((record.id, *leak))
        counts.add(record)
        tell(number)
        yield record.line()
    for digest, found in overlaps.items():
        if found:
            raise Contaminated(digest, tuple(found))


def _write_records(path: Path, lines: Iterable[bytes], counts: _Counts) -> bytes:
    tree, before = Frontier(), None
    beside = path.with_name(leaves.LEAVES)
    with path.open("wb", buffering=1 << 20) as file, beside.open("wb", buffering=1 << 20) as known:
        for line in lines:
            if line == before:
                counts.repeated += 1
                counts.add(record_of(line, counts.records), -1)
                continue
            before, leaf = line, leaf_hash(line)
            tree.append(leaf)
            known.write(leaf)
            file.write(line + b"\n")
            counts.records += 1
            counts.size += len(line) + 1
        for each in (file, known):
            each.flush()
            os.fsync(each.fileno())
    return tree.root()


def _published(built: Snapshot, into: Path) -> Snapshot:
    target = folder_of(built.uid, into)
    for path in built.folder.iterdir():
        path.chmod(READ_ONLY)
    _settle(built.folder)
    if not target.exists():
        try:
            built.folder.rename(target)
        except OSError as error:  # another build of the same records was faster
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        else:
            target.chmod(READ_ONLY_FOLDER)
            _settle(into)
            return Snapshot(folder=target, uid=built.uid, manifest=built.manifest, statement=built.statement)
    return _standing(target, built)


def _standing(target: Path, built: Snapshot) -> Snapshot:
    """Return the snapshot that stands there. How often records were repeated in what it was built from changes nothing."""
    try:
        there = json.loads((target / MANIFEST).read_text())
        same = {**there, "repeated": 0} == json.loads(json.dumps({**built.manifest, "repeated": 0}))
    except (ValueError, TypeError):
        same = False
    if not same:
        because = f"{target}: stands there with another manifest (checked against other examinations?)"
        raise BuildRefused(f"{because}; a snapshot never changes: build into another folder")
    return Snapshot(folder=target, uid=built.uid, manifest=there, statement=digests.of_bytes(_payload(there)))


def _payload(manifest: Mapping[str, Any]) -> bytes:
    subjects = {SUBJECT: manifest["uid"], RECORDS: manifest["files"][RECORDS]}
    return statement_bytes(subjects, PREDICATE, manifest)


def verified(
    folder: Path, trusted: Mapping[str, Verifier], limits: LineLimits | None = None
) -> tuple[Snapshot, Statement]:
    """Read a snapshot and hold every byte of it against its uid and its signed statement.

    No more of a line is read than the limits allow, or than the whole snapshot had. Raises SnapshotDamaged, naming the first bad record.
    """
    said, manifest = _signed(folder, trusted)
    uid, longest = said.subjects[SUBJECT], limits.longest_line if limits else int(manifest["bytes"])
    if leaves.believed(folder / leaves.LEAVES, uid):
        leaves.hold_each(folder / RECORDS, folder / leaves.LEAVES, longest)
    else:
        leaves.hold_together(folder / RECORDS, uid, longest)
    return Snapshot(folder=folder, uid=uid, manifest=manifest, statement=digests.of_bytes(said.payload)), said


def _signed(folder: Path, trusted: Mapping[str, Verifier]) -> tuple[Statement, dict[str, Any]]:
    try:
        said = verify_statement(json.loads((folder / STATEMENT).read_text()), trusted, PREDICATE)
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise SnapshotDamaged(str(folder), f"not a whole snapshot ({error})") from None
    except ProofError as error:
        raise SnapshotDamaged(f"{folder}/{STATEMENT}", error.diagnosis()) from None
    if (
        manifest != said.predicate
        or said.subjects.get(SUBJECT) is None
        or said.subjects[SUBJECT] != manifest.get("uid")
    ):
        raise SnapshotDamaged(f"{folder}/{MANIFEST}", "it is not what the statement says")
    return said, manifest


def _settle(folder: Path) -> None:
    """Make the names in a folder outlive a loss of power."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def removed(folder: Path) -> None:
    """Remove a snapshot: for tests and for people who mean it; its files are read-only otherwise."""
    folder.chmod(0o755)
    shutil.rmtree(folder)
