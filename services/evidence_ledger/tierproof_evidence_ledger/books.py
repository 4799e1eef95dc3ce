"""The books beside the entries: that positions, texts, outcomes, acts, published checkpoints and the schema agree with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.tlog_proof import witness_times
from tierproof_proofs.trust import Trust

from tierproof_evidence_ledger import deeds_told
from tierproof_evidence_ledger.acts import DEEDS, MIGRATED, RESTORED
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.fingerprint import parts_of
from tierproof_evidence_ledger.sealed import commitments_in

DISPOSITIONS = {"event": "recorded", "conflict": "conflict", "rejected": "rejected", "advisory": "advisory"}
OPENING = frozenset({"task.submitted.v1", "task.accepted.v1", "review.requested.v1", "task.decided.v1"})
Rows = psycopg.Connection[Any]
Told = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(slots=True, kw_only=True)
class Memory:
    """What the entries said: releases by task, acts done in the database by id, roots by size, the schema, the newest time.

    `opened` are tasks without an outcome by the first entry that speaks of them, `oldest` the first of those by size.
    """

    report: Report
    released: dict[str, tuple[int, str, str | None]] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    oldest: dict[int, int] = field(default_factory=dict)
    acts: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    tiles: int = 0
    unstored: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    schema: Mapping[str, str] | None = None
    recorded_at: str = ""

    def learn(self, seq: int, entry: Mapping[str, Any]) -> None:
        """Take in an entry; raises what a malformed one raises."""
        if entry["recorded_at"] < self.recorded_at:
            self.report.add(seq, "recorded before the entry before it")
        self.recorded_at = entry["recorded_at"]
        if entry["kind"] == "release":
            self._released(seq, entry["event"]["data"])
        elif entry["kind"] == "act":
            self._acted(seq, entry["event"])
        elif entry["kind"] == "rejected":
            self._opened(seq, entry.get("task_id"))
        elif entry["kind"] == "event" and entry["event"]["type"] in OPENING:
            self._opened(seq, entry["event"]["data"]["task_id"])

    def checkpointed(self, size: int, root: bytes) -> None:
        """Keep the root of a checkpoint that is right, and the first entry about a task that was open then."""
        self.roots[size] = root
        self.oldest[size] = next(iter(self.opened.values()), size)

    def _opened(self, seq: int, task_id: str | None) -> None:
        if task_id is not None and task_id not in self.released:
            self.opened.setdefault(task_id, seq)

    def _released(self, seq: int, data: Mapping[str, Any]) -> None:
        if earlier := self.released.get(data["task_id"]):
            self.report.add(seq, f"task {data['task_id']} was released before, at {earlier[0]}")
        decision = (data.get("decision") or {}).get("event_id")
        self.released.setdefault(data["task_id"], (seq, data["outcome"]["status"], decision))
        self.opened.pop(data["task_id"], None)
        if data["ledger"]["index"] != seq:
            self.report.add(seq, "the release names another position than its own")

    def _acted(self, seq: int, event: Mapping[str, Any]) -> None:
        if event["type"] in DEEDS:
            self.acts[event["id"]] = (seq, event)
        if event["type"] == RESTORED:
            self.lost |= set(event["data"].get("texts_lost", ()))
        if event["type"] == MIGRATED:
            self.schema = event["data"].get("parts")


def positions(rows: Rows, told: Told, report: Report) -> None:
    """Check that each entry of a message stands at its stream position, and that each recorded event has its id once."""
    query = """SELECT seq, stream, stream_created, stream_seq, disposition, event_id FROM ledger.v_ingest_key
               WHERE seq BETWEEN %s AND %s AND disposition <> 'duplicate'"""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows.execute(query, [told[0][0], told[-1][0]]):
        found.setdefault(row[0], []).append(row[1:])
    for seq, entry in told:
        expected = _position(entry)
        if found.get(seq, []) != ([expected] if expected else []):
            report.add(seq, "the stream position is not the entry's")


def _position(entry: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return stream, its creation, sequence, disposition and event id as the entry states them; None for the ledger's own entries."""
    disposition = DISPOSITIONS.get(entry.get("kind", ""))
    if disposition is None:
        return None
    event_id = (entry.get("event") or {}).get("id") if disposition == "recorded" else None
    return entry.get("stream"), entry.get("stream_created"), entry.get("stream_seq"), disposition, event_id


def texts(rows: Rows, told: Told, memory: Memory) -> None:
    """Learn which texts that entries commit to are not stored, readable or not."""
    named: dict[str, int] = {}
    for seq, entry in told:
        for commitment in commitments_in(entry.get("event")):
            named.setdefault(commitment, seq)
    query = "SELECT commitment FROM ledger.v_sealed_text WHERE commitment = ANY (%s)"
    stored = {row[0] for row in rows.execute(query, [list(named)])}
    for commitment in named.keys() - stored:
        memory.unstored.setdefault(commitment, named[commitment])


def balance(rows: Rows, trust: Trust, keys: Sequence[LogKey], memory: Memory) -> None:
    """Compare what the tables say with what the entries said."""
    report = memory.report
    _outcomes(rows, memory)
    deeds_told.compare(rows, memory.acts, report)
    for commitment, seq in memory.unstored.items():
        if commitment not in memory.lost:  # those the log itself says of: a disaster took them
            report.add(seq, f"the text {commitment} is not stored")
    _published(rows, trust, keys, memory)
    _schema(rows, memory)
    report.gaps = rows.execute("SELECT count(*) FROM ledger.v_gap").fetchall()[0][0]
    _outbox(rows, memory)
    for (seq,) in rows.execute("SELECT seq FROM ledger.v_ingest_key WHERE seq >= %s OR seq < 0 LIMIT 1", [report.size]):
        report.add(report.size, f"a stream position leads to entry {seq}, which is missing")


def _schema(rows: Rows, memory: Memory) -> None:
    """Compare the schema with what the newest migration said; its act may be on its way into the log."""
    waiting = "SELECT said -> 'parts' FROM ledger.v_act WHERE type = %s AND seq IS NULL ORDER BY done_at DESC LIMIT 1"
    newest = rows.execute(waiting, [MIGRATED]).fetchone()
    said = memory.schema if newest is None else newest[0]
    if said is not None:
        now = parts_of(rows)
        for part in sorted(now.keys() | said.keys()):
            if now.get(part) != said.get(part):
                memory.report.add(None, f"the schema was altered: {part}")


def _outcomes(rows: Rows, memory: Memory) -> None:
    found = rows.execute("SELECT task_id, seq, status, decision FROM ledger.v_outcome")
    outcomes = {row[0]: (row[1], row[2], row[3]) for row in found}
    for task_id in sorted(outcomes.keys() | memory.released.keys()):
        if outcomes.get(task_id) != memory.released.get(task_id):
            seq = (memory.released.get(task_id) or outcomes[task_id])[0]
            memory.report.add(seq, f"the outcome of task {task_id} is not the one that was released")


def _outbox(rows: Rows, memory: Memory) -> None:
    """Check that exactly what was released and what was published waits to go out, or went, each to a place of its own."""
    due = {("release", seq) for seq, _, _ in memory.released.values()}
    due |= {("checkpoint", row[0]) for row in rows.execute("SELECT size FROM ledger.v_published_checkpoint")}
    there: dict[tuple[str, int], int | None] = {}
    places: set[tuple[str, int]] = set()
    for kind, ref, place in rows.execute("SELECT kind, ref, stream_seq FROM ledger.v_outbox ORDER BY ref"):
        there[kind, ref] = place
        if place is not None and (place < 1 or (kind, place) in places):
            memory.report.add(None, f"the {kind} of {ref} is said to stand where another one does, at {place}")
        places.add((kind, place or 0))
    for kind, ref in sorted(due ^ there.keys()):
        fault = "is not in the outbox" if (kind, ref) in due else "is in the outbox, and there is none"
        memory.report.add(ref if kind == "release" else None, f"the {kind} of {ref} {fault}")


def _published(rows: Rows, trust: Trust, keys: Sequence[LogKey], memory: Memory) -> None:
    query = "SELECT size, note, open_from FROM ledger.v_published_checkpoint ORDER BY size"
    for size, note, open_from in rows.execute(query).fetchall():
        memory.report.published += 1
        try:
            checkpoint = open_checkpoint(note.encode(), keys)
            seen = witness_times(note.encode(), checkpoint, trust.witnesses)
        except ProofError as error:
            memory.report.add(None, f"published checkpoint of {size}: {error.diagnosis()}")
            continue
        if (checkpoint.size, checkpoint.root) != (size, memory.roots.get(size)):
            memory.report.add(None, f"the published checkpoint of {size} is not that of the entries")
        if len(seen) < trust.quorum:
            memory.report.add(
                None, f"the published checkpoint of {size} lacks cosignatures: {len(seen)} of {trust.quorum}"
            )
        if not 0 <= open_from <= memory.oldest.get(size, size):
            memory.report.add(
                None, f"the published checkpoint of {size} passes over a task that was open: from {open_from} on"
            )


def elsewhere(rows: Rows, known: Mapping[int, bytes], memory: Memory) -> None:
    """Compare with roots that are known from elsewhere."""
    for size, root in known.items():
        if size > memory.report.size:
            memory.report.add(memory.report.size, f"{size} entries are known elsewhere: the newest ones are missing")
        elif (memory.roots.get(size) or _root(rows, size)) != root:
            memory.report.add(None, f"another history of {size} entries is known elsewhere")


def _root(rows: Rows, size: int) -> bytes:
    frontier = Frontier()
    for (content,) in rows.execute("SELECT canonical FROM ledger.v_entry WHERE seq < %s ORDER BY seq", [size]):
        frontier.append(leaf_hash(content))
    return frontier.root()
