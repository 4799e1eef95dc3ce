"""The ledger as it was: an instant or a number of entries becomes the size up to which is read.

The sequencer never sets back the time of recording, so a moment parts the log in two: what lies before a position, and the rest.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from tierproof_contracts.questions import AsOf

from tierproof_evidence_ledger.errors import LedgerError

Rows = psycopg.Connection[dict[str, Any]]


class NoAnswer(LedgerError):
    """A question about something that the ledger does not hold."""


class NotCovered(LedgerError):
    """An entry that no published checkpoint covers yet."""


class BadQuestion(LedgerError):
    """A question that its contract lets through and that makes no sense here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published checkpoint: a size, and the note with the signatures of the log and its witnesses."""

    size: int
    note: str
    open_from: int


def size_now(rows: Rows) -> int:
    """Return the number of entries."""
    row = rows.execute("SELECT seq FROM ledger.v_entry ORDER BY seq DESC LIMIT 1").fetchone()
    return int(row["seq"]) + 1 if row else 0


def size_at(rows: Rows, as_of: AsOf | None) -> int:
    """Return how many entries the ledger had; at an instant, those that were recorded until then. Raises BadQuestion for the future."""
    size = size_now(rows)
    if isinstance(as_of, int):
        if as_of > size:
            raise BadQuestion(f"as_of: the ledger has {size} entries, not yet {as_of}")
        return as_of
    return size if as_of is None else min(size, _first(rows, "recorded_at > %s::timestamptz", as_of, size))


def first_since(rows: Rows, instant: str, size: int) -> int:
    """Return the position of the first entry that was recorded at or after an instant, `size` when there is none."""
    return _first(rows, "recorded_at >= %s::timestamptz", instant, size)


def published_at(rows: Rows, largest: int | None = None) -> Published:
    """Return the newest published checkpoint of at most `largest` entries; raises NotCovered when there is none."""
    query = """SELECT size, note, open_from FROM ledger.v_published_checkpoint
               WHERE size <= coalesce(%s, 9223372036854775807) ORDER BY size DESC LIMIT 1"""
    row = rows.execute(query, [largest], prepare=True).fetchone()
    if row is None:
        raise NotCovered(
            "no checkpoint was published" + (" yet" if largest is None else f" of at most {largest} entries")
        )
    return Published(**row)


def published_of(rows: Rows, size: int) -> Published:
    """Return the published checkpoint of exactly this size; raises BadQuestion."""
    query = "SELECT size, note, open_from FROM ledger.v_published_checkpoint WHERE size = %s"
    row = rows.execute(query, [size]).fetchone()
    if row is None:
        raise BadQuestion(f"size: no checkpoint of {size} entries was published")
    return Published(**row)


def _first(rows: Rows, condition: str, instant: str, otherwise: int) -> int:
    query = f"SELECT seq FROM ledger.v_entry WHERE {condition} ORDER BY recorded_at, seq LIMIT 1"  # noqa: S608 - conditions above
    row = rows.execute(query.encode(), [instant]).fetchone()
    return int(row["seq"]) if row else otherwise
