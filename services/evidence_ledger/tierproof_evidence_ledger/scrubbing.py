"""After an erasure: no erased key stays in the files of the database server, wrapped though it is.

A row that is deleted lies in its table's file until it is written over, and in the write-ahead log until its segment goes; whoever has
such a file and the key file of the ledger could unwrap it. Scrubbing rewrites the table of keys (VACUUM FULL), then has every segment
that is older written over or removed: a checkpoint recycles segments under new names with what they held, and only their turn in the
log empties them. What left the server before is not reached: backups, archived segments, replicas, snapshots of volumes.
"""

import re
from dataclasses import dataclass
from typing import Any

import psycopg

from tierproof_evidence_ledger.errors import LedgerError

_KEPT = re.compile(
    r"(\d+)"
)  # the first number of the detail, in every language: dead rows that could not be removed yet
_SEGMENTS = "SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY name"
_HERE = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
_FILLED = "SELECT pg_logical_emit_message(false, 'tierproof', 'scrubbing'), pg_switch_wal()"


class NotScrubbed(LedgerError):
    """Something still keeps erased keys in the files of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """What was done: `segments` of the write-ahead log were written over or removed."""

    segments: int


def scrub(owner_dsn: str) -> Scrubbed:
    """Leave no erased key in the table's files and in the write-ahead log. `owner_dsn` is of a role that may CHECKPOINT.

    Writes each segment of the log once: up to max_wal_size, a gigabyte by default. Raises NotScrubbed.
    """
    try:
        with psycopg.connect(owner_dsn, autocommit=True) as rows:
            _rewrite(rows)
            return _write_over(rows)
    except psycopg.Error as error:
        raise NotScrubbed(f"erased keys may be in the server's files still: {str(error).splitlines()[0]}") from None


def _rewrite(rows: psycopg.Connection[Any]) -> None:
    details: list[str] = []
    rows.add_notice_handler(lambda notice: details.append(notice.message_detail or ""))
    rows.execute("VACUUM (FULL, VERBOSE) ledger.text_key")
    kept = [int(found.group()) for found in map(_KEPT.search, details) if found]
    if any(kept):
        raise NotScrubbed(
            f"{sum(kept)} erased keys stay in the table while an older transaction lasts: look at pg_stat_activity, then scrub again"
        )


def _write_over(rows: psycopg.Connection[Any]) -> Scrubbed:
    """Give each segment its turn: those before the first are removed or made anew, those after the last were not there."""
    rows.execute(_FILLED)
    first = _one(rows, _HERE)
    rows.execute("CHECKPOINT")
    before = [name for (name,) in rows.execute(_SEGMENTS)]
    while _one(rows, _HERE) <= before[-1]:
        rows.execute(_FILLED)
    rows.execute("CHECKPOINT")
    kept = [name for (name,) in rows.execute(_SEGMENTS) if name < first]
    if kept:
        raise NotScrubbed(
            f"{len(kept)} older segments of the write-ahead log are kept for somebody, up to {kept[-1]}: look at pg_replication_slots,"
            " wal_keep_size and archiving, then scrub again"
        )
    return Scrubbed(segments=len(before))


def _one(rows: psycopg.Connection[Any], query: str) -> str:
    return str(rows.execute(query.encode()).fetchall()[0][0])
