"""The books beside the entries: that positions, texts, outcomes, acts, published checkpoints and the schema agree with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.tlog_proof import witness_times
from tierproof_proofs.trust import Trust

from tierproof_evidence_ledger.acts import MIGRATED, RESTORED
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.fingerprint import parts_of

DISPOSITIONS = {"event": "recorded", "conflict": "conflict", "rejected": "rejected", "advisory": "advisory"}
DEEDS = (
    "ledger.erased.v1",
    "ledger.held.v1",
    "ledger.unheld.v1",
    "ledger.altered.v1",
    MIGRATED,
)  # done in the database
Rows = psycopg.Connection[Any]
Told = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(slots=True, kw_only=True)
class Memory:
    """What the entries said: releases by task, acts done in the database by id, roots by size, the schema, the newest time."""

    report: Report
    released: dict[str, tuple[int, str]] = field(default_factory=dict)
    acts: dict[str, tuple[int, str]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    roots: dict[int, bytes] = field(default_factory=dict)
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

    def _released(self, seq: int, data: Mapping[str, Any]) -> None:
        if earlier := self.released.get(data["task_id"]):
            self.report.add(seq, f"task {data['task_id']} was released before, at {earlier[0]}")
        self.released[data["task_id"]] = (seq, data["outcome"]["status"])
        if data["ledger"]["index"] != seq:
            self.report.add(seq, "the release names another position than its own")

    def _acted(self, seq: int, event: Mapping[str, Any]) -> None:
        if event["type"] in DEEDS:
            self.acts[event["id"]] = (seq, event["type"])
        if event["type"] == "ledger.erased.v1":
            self.erased |= set(event["data"].get("keys", ()))
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


def commitments_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the commitments of sealed texts in a JSON value, in no order."""
    left = [value]
    while left:
        part = left.pop()
        if type(part) is dict:
            if type(part.get("commitment")) is str and "size" in part:
                yield part["commitment"]
            part = part.values()
        elif type(part) is not list:
            continue
        left += [inner for inner in part if type(inner) is dict or type(inner) is list]


def balance(rows: Rows, trust: Trust, keys: Sequence[LogKey], memory: Memory) -> None:
    """Compare what the tables say with what the entries said."""
    report = memory.report
    _outcomes(rows, memory)
    _acts(rows, memory)
    for commitment, seq in memory.unstored.items():
        if commitment not in memory.lost:  # those the log itself says of: a disaster took them
            report.add(seq, f"the text {commitment} is not stored")
    _keys_of_texts(rows, memory)
    _published(rows, trust, keys, memory)
    _schema(rows, memory)
    report.gaps = rows.execute("SELECT count(*) FROM ledger.v_gap").fetchall()[0][0]
    for kind, ref in rows.execute(
        "SELECT 'release', seq FROM ledger.v_outcome EXCEPT SELECT kind, ref FROM ledger.v_outbox"
    ):
        report.add(ref, f"the {kind} is not in the outbox")
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
    outcomes = {row[0]: (row[1], row[2]) for row in rows.execute("SELECT task_id, seq, status FROM ledger.v_outcome")}
    for task_id in sorted(outcomes.keys() | memory.released.keys()):
        if outcomes.get(task_id) != memory.released.get(task_id):
            seq = (memory.released.get(task_id) or outcomes[task_id])[0]
            memory.report.add(seq, f"the outcome of task {task_id} is not the one that was released")


def _acts(rows: Rows, memory: Memory) -> None:
    """Check that what was done in the database and what the log says of it are the same; the newest may be on their way."""
    stored = {str(row[0]): (row[2], row[1]) for row in rows.execute("SELECT act_id, type, seq FROM ledger.v_act")}
    for act_id, said in memory.acts.items():
        if stored.get(act_id) != said:
            memory.report.add(said[0], "the act is not the one that was done in the database")
    for act_id, (seq, what) in stored.items():
        if seq is not None and act_id not in memory.acts:
            memory.report.add(seq, f"{what} was done in the database and is not in the log")


def _keys_of_texts(rows: Rows, memory: Memory) -> None:
    gone = "SELECT DISTINCT key_id::text FROM ledger.v_sealed_text WHERE NOT readable"
    waiting = "SELECT jsonb_array_elements_text(said -> 'keys') FROM ledger.v_act WHERE type = 'ledger.erased.v1' AND seq IS NULL"
    excused = memory.erased | {row[0] for row in rows.execute(waiting)}
    for (key_id,) in rows.execute(gone):
        if key_id not in excused:
            memory.report.add(None, f"the key of texts {key_id} is gone, and nobody has erased it")


def _published(rows: Rows, trust: Trust, keys: Sequence[LogKey], memory: Memory) -> None:
    query = """SELECT p.size, p.note, o.ref FROM ledger.v_published_checkpoint p
               LEFT JOIN ledger.v_outbox o ON o.kind = 'checkpoint' AND o.ref = p.size ORDER BY p.size"""
    for size, note, announced in rows.execute(query).fetchall():
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
        if announced is None:
            memory.report.add(None, f"the published checkpoint of {size} is not in the outbox")


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
