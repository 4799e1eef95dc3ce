"""Deep verification: everything computed anew from the canonical bytes, nothing that is stored believed.

Reads the auditor's views alone. A newest part that was cut off together with its checkpoints shows only against somebody else's
memory: a witness, or a checkpoint that was kept elsewhere (`known`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import orjson
import psycopg
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import LogKey, open_checkpoint, signed_by
from tierproof_proofs.merkle import HASH_SIZE, Frontier, leaf_hash
from tierproof_proofs.note import parse_note
from tierproof_proofs.trust import Trust

from tierproof_evidence_ledger import books
from tierproof_evidence_ledger.acts import ROTATED
from tierproof_evidence_ledger.canonical import canonical
from tierproof_evidence_ledger.columns import AS_ONE, as_one
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.memory import Memory
from tierproof_evidence_ledger.migrate import names_in
from tierproof_evidence_ledger.pens import rotated
from tierproof_evidence_ledger.schema_told import SchemaTold
from tierproof_evidence_ledger.tree import Tree

CHUNK = 2000
_ENTRIES = f"SELECT seq, canonical, {AS_ONE} FROM ledger.v_entry ORDER BY seq"  # noqa: S608 - names of columns
_CHECKPOINTS = "SELECT size, note, leaves FROM ledger.v_checkpoint ORDER BY size"
Rows = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """A checkpoint that the log has signed, and the leaf hashes that it added."""

    size: int
    note: str
    leaves: bytes

    def leaf(self, seq: int) -> bytes:
        first = self.size - len(self.leaves) // HASH_SIZE
        return self.leaves[(seq - first) * HASH_SIZE : (seq - first + 1) * HASH_SIZE]


@dataclass(slots=True, kw_only=True)
class _Walk:
    """What must be remembered while walking through the entries. `tree` is None after a hole: no root can be right any more."""

    report: Report
    rows: Rows
    checkpoints: Iterator[_Expected]
    keys: list[LogKey]
    memory: Memory
    tree: Tree | None = field(default_factory=lambda: Tree(Frontier()))
    leaves: list[bytes] = field(default_factory=list)
    rotations: list[Mapping[str, Any]] = field(default_factory=list)
    expected: _Expected | None = None
    next_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a verification may expect: while a restore is at work, neither all `texts` nor what was `attested` before the disaster.

    `migrations` is the folder of those that there are, None for the delivered one.
    """

    texts: bool = True
    attested: bool = True
    migrations: Path | None = None


EVERYTHING = Scope()


def verify(dsn: str, trust: Trust, known: Mapping[int, bytes] | None = None, scope: Scope = EVERYTHING) -> Report:
    """Verify a ledger; `known` are roots by size that the reader has from elsewhere. Raises psycopg.OperationalError."""
    with psycopg.connect(dsn) as rows:
        rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return verify_rows(rows, trust, known, scope)


def verify_rows(
    rows: Rows, trust: Trust, known: Mapping[int, bytes] | None = None, scope: Scope = EVERYTHING
) -> Report:
    """Verify a ledger as the open transaction of a connection sees it; see `verify`. After a fault in the schema, it is over."""
    report = Report()
    try:
        rows.execute(
            "SET LOCAL search_path = pg_catalog, pg_temp"
        )  # nobody's functions and operators but the server's own
        _verify(rows, trust, known or {}, report, scope)
    except psycopg.OperationalError:
        raise
    except psycopg.DatabaseError as error:  # a view, a column or a value is not there, or not as it was delivered
        report.add(None, f"the schema is not the delivered one: {str(error).splitlines()[0]}")
    return report


def _verify(rows: Rows, trust: Trust, known: Mapping[int, bytes], report: Report, scope: Scope) -> None:
    checkpoints = _checkpoints(rows, report)
    memory = Memory(report=report, schema=SchemaTold(known=names_in(scope.migrations)))
    walk = _Walk(report=report, rows=rows, checkpoints=checkpoints, keys=list(trust.log_keys), memory=memory)
    walk.expected = next(checkpoints, None)
    for chunk in _chunks(rows):
        entries = [_loaded(row[1]) for row in chunk]
        for row, entry in zip(chunk, entries, strict=True):
            _entry(walk, row, entry)
        told = [(row[0], entry) for row, entry in zip(chunk, entries, strict=True)]
        books.positions(rows, told, report)
        if scope.texts:
            books.texts(rows, told, walk.memory)
    _grow(walk)
    while walk.expected is not None:
        report.add(walk.next_seq, f"a checkpoint covers {walk.expected.size} entries: the newest ones are missing")
        walk.expected = next(checkpoints, None)
    report.size, report.root = walk.next_seq, walk.tree.frontier.root() if walk.tree else b""
    if walk.tree and rows.execute("SELECT count(*) FROM ledger.v_tile").fetchall() != [(walk.memory.tiles,)]:
        report.add(None, f"other tiles are stored than the {walk.memory.tiles} that the entries fill")
    if not scope.attested:
        memory.attested.clear()
    books.balance(rows, trust, walk.keys, walk.memory)
    books.elsewhere(rows, known, walk.memory)


def _checkpoints(rows: Rows, report: Report) -> Iterator[_Expected]:
    before = 0
    with rows.cursor("checkpoints") as cursor:
        cursor.execute(_CHECKPOINTS)
        for size, note, leaves in cursor:
            report.checkpoints += 1
            if size - before != len(leaves) // HASH_SIZE:
                report.add(before, f"no checkpoint leads from {before} to {size} entries")
            before = size
            yield _Expected(size=size, note=note, leaves=leaves)


def _chunks(rows: Rows) -> Iterator[list[tuple[int, bytes, str]]]:
    with rows.cursor("entries", binary=True) as cursor:
        cursor.execute(_ENTRIES.encode())
        while chunk := cursor.fetchmany(CHUNK):
            yield chunk


def _entry(walk: _Walk, row: tuple[int, bytes, str], entry: dict[str, Any]) -> None:
    """Check one entry, and the checkpoint that ends with it."""
    seq, content, columns = row
    leaf = leaf_hash(content)
    if seq != walk.next_seq:
        walk.report.add(walk.next_seq, f"entry {walk.next_seq} is missing; the next one is {seq}")
        walk.tree = None
    walk.next_seq = seq + 1
    while walk.expected is not None and walk.expected.size <= seq:  # its last entries are among the missing
        walk.expected = next(walk.checkpoints, None)
    _content(walk, row, entry, columns)
    walk.leaves.append(leaf)
    if walk.expected is None:
        walk.report.add(seq, "no checkpoint covers this entry")
        return
    if walk.expected.leaf(seq) != leaf:
        walk.report.add(seq, "the entry is not the one that was checkpointed")
    if walk.next_seq == walk.expected.size:
        _grow(walk)
        _checkpoint(walk, walk.expected)
        walk.expected = next(walk.checkpoints, None)


def _content(walk: _Walk, row: tuple[int, bytes, str], entry: dict[str, Any], columns: str) -> None:
    seq, content, _ = row
    if not entry or canonical(entry) != content:
        walk.report.add(seq, "the entry is not canonical JSON")
        return
    try:
        if as_one(entry) != columns:
            walk.report.add(seq, "the query columns do not follow from the entry")
        walk.memory.learn(seq, entry)
        if entry["kind"] == "act" and entry["event"]["type"] == ROTATED:
            walk.rotations.append(entry["event"]["data"])
    except (KeyError, TypeError, ValueError, AttributeError):
        walk.report.add(seq, "the entry does not have an entry's form")


def _grow(walk: _Walk) -> None:
    """Let the tree grow by the leaves since the last checkpoint, and compare the tiles that became full."""
    leaves, walk.leaves = walk.leaves, []
    if walk.tree is None or not leaves:
        return
    walk.tree, tiles = walk.tree.grown(leaves)
    walk.memory.tiles += len(tiles)
    for tile in tiles:
        query = "SELECT hashes FROM ledger.v_tile WHERE level = %s AND n = %s"
        stored = walk.rows.execute(query, [tile.level, tile.n]).fetchone()
        if stored is None or bytes(stored[0]) != tile.hashes:
            walk.report.add(None, f"tile {tile.n} of level {tile.level} does not hold the entries' hashes")


def _checkpoint(walk: _Walk, expected: _Expected) -> None:
    """Check a checkpoint's signatures and root; a key to which the log goes over under it is known from then on."""
    note = expected.note.encode()
    try:
        checkpoint = open_checkpoint(note, walk.keys)
        keys = reduce(rotated, walk.rotations, walk.keys)
        valid = [each.key for each in keys if each.signs(checkpoint.size)]
        strangers = len(parse_note(note).signatures) - len(signed_by(parse_note(note), checkpoint, valid))
    except ProofError as error:
        walk.report.add(None, f"checkpoint of {expected.size}: {error.diagnosis()}")
        return
    if strangers:
        walk.report.add(None, f"checkpoint of {expected.size}: signed by a key that is not the log's at this size")
    if checkpoint.size != expected.size:
        walk.report.add(None, f"checkpoint of {checkpoint.size} is stored as one of {expected.size}")
    elif walk.tree and checkpoint.root != walk.tree.frontier.root():
        walk.report.add(None, f"the entries do not give the root of the checkpoint of {expected.size}")
    else:
        walk.memory.checkpointed(checkpoint.size, checkpoint.root)
        walk.keys = keys
        walk.rotations.clear()


def _loaded(content: bytes) -> dict[str, Any]:
    try:
        entry = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return entry if isinstance(entry, dict) else {}
