"""What went out, or waits to: published checkpoints with their cosignatures and time stamps, the outbox, and who was in office."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import psycopg
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.tlog_proof import witness_times
from tierproof_proofs.trust import Trust

from tierproof_evidence_ledger import attested
from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.memory import Memory
from tierproof_evidence_ledger.timestamps import certificates_of, verify_stamp

Rows = psycopg.Connection[Any]


def compare(rows: Rows, trust: Trust, keys: Sequence[LogKey], memory: Memory) -> None:
    """Check all of it, compare it with what earlier verifications attested, and have the report attest it anew."""
    published = _checkpoints(rows, trust, keys, memory)
    _outbox(rows, memory, published)
    stamps = _stamps(rows, trust, memory)
    terms = _terms(rows, memory)
    attested.compare(memory.attested, published, stamps, terms, memory.report)
    memory.report.attested = attested.attest(published, stamps, terms)


def _checkpoints(rows: Rows, trust: Trust, keys: Sequence[LogKey], memory: Memory) -> list[int]:
    """Check each published checkpoint, and return their sizes."""
    sizes = []
    query = "SELECT size, note, open_from FROM ledger.v_published_checkpoint ORDER BY size"
    for size, note, open_from in rows.execute(query).fetchall():
        memory.report.published += 1
        sizes.append(size)
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
    return sizes


def _stamps(rows: Rows, trust: Trust, memory: Memory) -> list[str]:
    """Check each time stamp, where the reader trusts an authority, and return what each is."""
    certificates = certificates_of("".join(trust.time_stamping).encode()) if trust.time_stamping else ()
    found = []
    for size, reply in rows.execute("SELECT size, reply FROM ledger.v_time_stamp ORDER BY size"):
        found.append(f"{size} {sha256(reply).hexdigest()}")
        if size not in memory.roots:
            memory.report.add(None, f"the time stamp of {size} is that of no checkpoint")
        elif certificates:
            stamped = str(Checkpoint(origin=trust.origin, size=size, root=memory.roots[size]))
            try:
                verify_stamp(reply, stamped.encode(), certificates)
            except LedgerError as error:
                memory.report.add(None, f"the time stamp of {size}: {error.diagnosis()}")
    return found


def _terms(rows: Rows, memory: Memory) -> list[str]:
    """Check that no term is missing, and return what each says."""
    terms = rows.execute("SELECT term, holder, taken_at FROM ledger.v_term ORDER BY term").fetchall()
    for expected, (term, _, _) in enumerate(terms, 1):
        if term != expected:
            memory.report.add(None, f"term {expected} is missing; the next one is {term}")
            break
    return [f"{term} {taken_at.timestamp():.6f} {holder}" for term, holder, taken_at in terms]


def _outbox(rows: Rows, memory: Memory, published: Sequence[int]) -> None:
    """Check that exactly what was released and what was published waits to go out, or went, each to a place of its own."""
    due = {("release", seq) for seq, _, _ in memory.released.values()}
    due |= {("checkpoint", size) for size in published}
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
    for kind, ref in rows.execute("SELECT kind, ref FROM ledger.v_outbox_orphan ORDER BY ref"):
        memory.report.add(None, f"the {kind} of {ref} is said to have gone out, and is not in the outbox")
