"""The books beside the entries: that positions, texts, outcomes, acts, published checkpoints and the schema agree with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.trust import Trust

from tierproof_evidence_ledger import deeds_told, publications, schema_told
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.memory import Memory
from tierproof_evidence_ledger.sealed import commitments_in

DISPOSITIONS = {"event": "recorded", "conflict": "conflict", "rejected": "rejected", "advisory": "advisory"}
DUPLICATE = "duplicate"
REFERRING = "task.decided.v1"  # of all events the one that names a text and does not carry it
Rows = psycopg.Connection[Any]
Told = Sequence[tuple[int, Mapping[str, Any]]]


def positions(rows: Rows, told: Told, report: Report) -> None:
    """Check that each entry of a message stands at its stream position, that each recorded event has its id once, and what came twice.

    A duplicate leaves no entry: all that can be told is whether it could be one of the event that it names.
    """
    query = """SELECT seq, stream, stream_created, stream_seq, disposition, event_id FROM ledger.v_ingest_key
               WHERE seq BETWEEN %s AND %s"""
    found: dict[int, list[tuple[Any, ...]]] = {}
    again: dict[int, set[str]] = {}
    for seq, *row in rows.execute(query, [told[0][0], told[-1][0]]):
        if row[3] == DUPLICATE:
            again.setdefault(seq, set()).add(row[0])
        else:
            found.setdefault(seq, []).append(tuple(row))
    for seq, entry in told:
        expected = _position(entry)
        if found.get(seq, []) != ([expected] if expected else []):
            report.add(seq, "the stream position is not the entry's")
        if seq in again and (entry.get("kind") != "event" or again[seq] != {entry.get("stream")}):
            report.add(seq, "a message is said to be this event once more, and cannot be")


def _position(entry: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return stream, its creation, sequence, disposition and event id as the entry states them; None for the ledger's own entries."""
    disposition = DISPOSITIONS.get(entry.get("kind", ""))
    if disposition is None:
        return None
    event_id = (entry.get("event") or {}).get("id") if disposition == "recorded" else None
    return entry.get("stream"), entry.get("stream_created"), entry.get("stream_seq"), disposition, event_id


def texts(rows: Rows, told: Told, memory: Memory) -> None:
    """Learn which texts that entries commit to are not stored, readable or not. A decision names an answer that another event carries."""
    named: dict[str, int] = {}
    for seq, entry in told:
        event = entry.get("event")
        for commitment in () if isinstance(event, dict) and event.get("type") == REFERRING else commitments_in(event):
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
    publications.compare(rows, trust, keys, memory)
    schema_told.compare(rows, memory.schema, report)
    report.gaps = rows.execute("SELECT count(*) FROM ledger.v_gap").fetchall()[0][0]
    for (seq,) in rows.execute("SELECT seq FROM ledger.v_ingest_key WHERE seq >= %s OR seq < 0 LIMIT 1", [report.size]):
        report.add(report.size, f"a stream position leads to entry {seq}, which is missing")


def _outcomes(rows: Rows, memory: Memory) -> None:
    found = rows.execute("SELECT task_id, seq, status, decision FROM ledger.v_outcome")
    outcomes = {row[0]: (row[1], row[2], row[3]) for row in found}
    for task_id in sorted(outcomes.keys() | memory.released.keys()):
        if outcomes.get(task_id) != memory.released.get(task_id):
            seq = (memory.released.get(task_id) or outcomes[task_id])[0]
            memory.report.add(seq, f"the outcome of task {task_id} is not the one that was released")


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
