"""Deep verification: everything computed anew from the canonical bytes, nothing that is stored believed.

Reads the auditor's views alone. What it cannot see: a newest part that was cut off together with its checkpoints. For that somebody
else must remember a larger size: a witness, or a published checkpoint (`known`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from tierproof_proofs.checkpoint import open_checkpoint, parse_checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.merkle import HASH_SIZE, Frontier, leaf_hash
from tierproof_proofs.note import VerifierKey, parse_note

from tierproof_evidence_ledger.canonical import canonical
from tierproof_evidence_ledger.tree import Tree

CHUNK = 1000
MOST_FAULTS = 50
_COLUMNS = (
    "kind",
    "event_id",
    "event_type",
    "task_id",
    "tenant",
    "actor",
    "safety_class",
    "occurred_at",
    "recorded_at",
)
_ENTRIES = f"SELECT seq, canonical, leaf_hash, {', '.join(_COLUMNS)} FROM ledger.v_entry ORDER BY seq"  # noqa: S608 - names above
DISPOSITIONS = {"event": "recorded", "conflict": "conflict", "rejected": "rejected", "advisory": "advisory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it was recorded; `seq` is the entry at fault where one can be named."""

    seq: int | None
    what: str


@dataclass(slots=True, kw_only=True)
class Report:
    """What a verification found. `size` and `root` are those of the entries as they are now, `first_bad` is the lowest at fault."""

    size: int = 0
    root: bytes = b""
    checkpoints: int = 0
    gaps: int = 0
    faults: list[Fault] = field(default_factory=list)
    first_bad: int | None = None

    def add(self, seq: int | None, what: str) -> None:
        """Note a fault; of very many, the first ones and the lowest entry."""
        if seq is not None and (self.first_bad is None or seq < self.first_bad):
            self.first_bad = seq
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(seq=seq, what=what))


@dataclass(slots=True, kw_only=True)
class _Walk:
    """What must be remembered while walking through the entries."""

    report: Report
    tree: Tree | None = field(
        default_factory=lambda: Tree(Frontier())
    )  # None after a hole: no root can be right any more
    released: dict[str, tuple[int, str]] = field(default_factory=dict)
    next_seq: int = 0


def verify(dsn: str, log: VerifierKey, known: Mapping[int, bytes] | None = None) -> Report:
    """Verify a ledger; `known` are roots by size that the reader has from elsewhere. Raises psycopg.Error."""
    walk = _Walk(report=Report())
    with psycopg.connect(dsn) as rows:
        rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        checkpoints = _checkpoints(rows, log, walk.report)
        expected = next(checkpoints, None)
        for chunk in _chunks(rows):
            for entry in chunk:
                expected = _entry(walk, entry, expected, checkpoints, rows)
            _positions(rows, chunk, walk.report)
            _texts(rows, chunk, walk.report)
        while expected is not None:
            walk.report.add(walk.next_seq, f"a checkpoint covers {expected.size} entries: the newest ones are missing")
            expected = next(checkpoints, None)
        _finish(walk, rows, known or {})
    return walk.report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """A checkpoint that the log has signed, and the leaf hashes that it added."""

    size: int
    root: bytes | None
    leaves: bytes

    def leaf(self, seq: int) -> bytes:
        first = self.size - len(self.leaves) // HASH_SIZE
        return self.leaves[(seq - first) * HASH_SIZE : (seq - first + 1) * HASH_SIZE]


def _checkpoints(rows: psycopg.Connection[Any], log: VerifierKey, report: Report) -> Iterator[_Expected]:
    before = 0
    with rows.cursor("checkpoints") as cursor:
        cursor.execute("SELECT size, note, leaves FROM ledger.v_checkpoint ORDER BY size")
        for size, note, leaves in cursor:
            report.checkpoints += 1
            if size - before != len(leaves) // HASH_SIZE:
                report.add(before, f"no checkpoint leads from {before} to {size} entries")
            before = size
            try:
                checkpoint = open_checkpoint(note.encode(), log)
            except ProofError as error:
                report.add(None, f"checkpoint of {size}: {error.diagnosis()}")
                yield _Expected(size=size, root=None, leaves=leaves)
                continue
            if checkpoint.size != size:
                report.add(None, f"checkpoint of {checkpoint.size} is stored as one of {size}")
            yield _Expected(size=size, root=checkpoint.root, leaves=leaves)


def _chunks(rows: psycopg.Connection[Any]) -> Iterator[list[tuple[Any, ...]]]:
    with rows.cursor("entries") as cursor:
        cursor.execute(_ENTRIES.encode())
        while chunk := cursor.fetchmany(CHUNK):
            yield chunk


def _entry(
    walk: _Walk,
    row: tuple[Any, ...],
    expected: _Expected | None,
    checkpoints: Iterator[_Expected],
    rows: psycopg.Connection[Any],
) -> _Expected | None:
    """Check one entry and return the next checkpoint to come."""
    seq, content, report = row[0], bytes(row[1]), walk.report
    leaf = leaf_hash(content)
    if seq != walk.next_seq:
        report.add(walk.next_seq, f"entry {walk.next_seq} is missing; the next one is {seq}")
        walk.tree = None
    walk.next_seq = seq + 1
    while expected is not None and expected.size <= seq:  # its last entries are among the missing
        expected = next(checkpoints, None)
    if bytes(row[2]) != leaf:
        report.add(seq, "column leaf_hash is not the entry's hash")
    _content(seq, content, row[3:], walk)
    _grow(walk, leaf, rows)
    if expected is None:
        report.add(seq, "no checkpoint covers this entry")
        return None
    if expected.leaf(seq) != leaf:
        report.add(seq, "the entry is not the one that was checkpointed")
    if walk.next_seq < expected.size:
        return expected
    if walk.tree and expected.root not in (None, walk.tree.frontier.root()):
        report.add(None, f"the entries do not give the root of the checkpoint of {expected.size}")
    return next(checkpoints, None)


def _grow(walk: _Walk, leaf: bytes, rows: psycopg.Connection[Any]) -> None:
    if walk.tree is None:
        return
    walk.tree, tiles = walk.tree.grown([leaf])
    for tile in tiles:
        query = "SELECT hashes FROM ledger.v_tile WHERE level = %s AND n = %s"
        stored = rows.execute(query, [tile.level, tile.n]).fetchone()
        if stored is None or bytes(stored[0]) != tile.hashes:
            walk.report.add(None, f"tile {tile.n} of level {tile.level} does not hold the entries' hashes")


def _content(seq: int, content: bytes, columns: tuple[Any, ...], walk: _Walk) -> None:
    report, entry = walk.report, _loaded(content)
    if not entry or canonical(entry) != content:
        report.add(seq, "the entry is not canonical JSON")
        return
    try:
        for name, stored, computed in zip(_COLUMNS, columns, columns_of(entry), strict=True):
            if stored != computed:
                report.add(seq, f"column {name} does not follow from the entry")
        if entry["kind"] == "release":
            _released(seq, entry["event"]["data"], walk)
    except (KeyError, TypeError, ValueError, AttributeError):
        report.add(seq, "the entry does not have an entry's form")


def _released(seq: int, data: Mapping[str, Any], walk: _Walk) -> None:
    if earlier := walk.released.get(data["task_id"]):
        walk.report.add(seq, f"task {data['task_id']} was released before, at {earlier[0]}")
    walk.released[data["task_id"]] = (seq, data["outcome"]["status"])
    if data["ledger"]["index"] != seq:
        walk.report.add(seq, "the release names another position than its own")


def columns_of(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the generated columns must hold, in the order of `_COLUMNS`."""
    event: Mapping[str, Any] = entry.get("event") or {}
    data: Mapping[str, Any] = event.get("data") or {}
    return (
        entry.get("kind"),
        event.get("id"),
        event.get("type"),
        data.get("task_id") or entry.get("task_id"),
        data.get("tenant"),
        data.get("signer") or data.get("actor") or event.get("source"),
        data.get("safety_class"),
        datetime.fromisoformat(event["time"]).astimezone(UTC) if event else None,
        datetime.fromisoformat(entry["recorded_at"]).astimezone(UTC),
    )


def _positions(rows: psycopg.Connection[Any], chunk: Sequence[tuple[Any, ...]], report: Report) -> None:
    """Check that each entry of a message stands at its stream position, and that each recorded event has its id once."""
    query = """SELECT seq, stream, stream_seq, disposition, event_id FROM ledger.v_ingest_key
               WHERE seq BETWEEN %s AND %s AND disposition <> 'duplicate'"""
    found = {row[0]: row[1:] for row in rows.execute(query, [chunk[0][0], chunk[-1][0]])}
    for row in chunk:
        if found.get(row[0]) != _position(_loaded(row[1])):
            report.add(row[0], "the stream position is not the entry's")


def _position(entry: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return stream, sequence, disposition and event id as the entry states them; None for the ledger's own entries."""
    disposition = DISPOSITIONS.get(entry.get("kind", ""))
    if disposition is None:
        return None
    event_id = (entry.get("event") or {}).get("id") if disposition == "recorded" else None
    return f"{entry.get('stream')}@{entry.get('stream_created')}", entry.get("stream_seq"), disposition, event_id


def _texts(rows: psycopg.Connection[Any], chunk: Sequence[tuple[Any, ...]], report: Report) -> None:
    """Check that each text that an entry commits to is stored, readable or not."""
    named: dict[str, int] = {}
    for row in chunk:
        for commitment in commitments_in(_loaded(row[1]).get("event")):
            named.setdefault(commitment, row[0])
    query = "SELECT commitment FROM ledger.v_sealed_text WHERE commitment = ANY (%s)"
    stored = {row[0] for row in rows.execute(query, [list(named)])}
    for commitment in named.keys() - stored:
        report.add(named[commitment], f"the text {commitment} is not stored")


def commitments_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the commitments of sealed texts in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("commitment"), str) and "size" in value:
            yield value["commitment"]
        for inner in value.values():
            yield from commitments_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from commitments_in(inner)


def _finish(walk: _Walk, rows: psycopg.Connection[Any], known: Mapping[int, bytes]) -> None:
    report = walk.report
    report.size, report.root = walk.next_seq, walk.tree.frontier.root() if walk.tree else b""
    outcomes = {row[0]: (row[1], row[2]) for row in rows.execute("SELECT task_id, seq, status FROM ledger.v_outcome")}
    for task_id in sorted(outcomes.keys() | walk.released.keys()):
        if outcomes.get(task_id) != walk.released.get(task_id):
            seq = (walk.released.get(task_id) or outcomes[task_id])[0]
            report.add(seq, f"the outcome of task {task_id} is not the one that was released")
    report.gaps = rows.execute("SELECT count(*) FROM ledger.v_gap").fetchall()[0][0]
    for size, root in known.items():
        stored = rows.execute("SELECT note FROM ledger.v_checkpoint WHERE size = %s", [size]).fetchone()
        if size > report.size:
            report.add(report.size, f"a checkpoint of {size} entries is known elsewhere: the newest ones are missing")
        elif stored is None or parse_checkpoint(parse_note(stored[0].encode()).text).root != root:
            report.add(None, f"another history of {size} entries is known elsewhere")


def _loaded(content: bytes) -> dict[str, Any]:
    try:
        entry = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return entry if isinstance(entry, dict) else {}
