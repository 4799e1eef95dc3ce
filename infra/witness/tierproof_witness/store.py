"""What the witness remembers: per log, the newest checkpoint that it has cosigned. SQLite, on disk before anything is answered.

A turn holds the database's write lock from reading to writing, so of two submissions that come at once the second one sees the
first, in this process or another. Write-ahead log and synchronous=FULL: a commit that returned survives loss of power.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tierproof_witness.decide import Recorded
from tierproof_witness.errors import StoreUnusable

OWNER_ONLY = 0o600
SIZE_BYTES = 8
# Sizes are 8 bytes, most significant first: SQLite's integers end at 2^63, its byte strings compare like numbers.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS newest (
    origin TEXT PRIMARY KEY,
    size BLOB NOT NULL CHECK (length(size) = 8),
    root BLOB NOT NULL CHECK (length(root) = 32),
    time INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS never_smaller BEFORE UPDATE ON newest WHEN NEW.size < OLD.size
    OR (NEW.size = OLD.size AND NEW.root <> OLD.root) OR NEW.origin <> OLD.origin
BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
CREATE TRIGGER IF NOT EXISTS never_forgotten BEFORE DELETE ON newest
BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END;
"""
_UPSERT = """
INSERT INTO newest (origin, size, root, time, note) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, time = excluded.time, note = excluded.note
"""


class Turn:
    """One log's record, held while a submission is judged."""

    def __init__(self, rows: sqlite3.Connection, origin: str) -> None:
        self._rows = rows
        self._origin = origin
        found = rows.execute("SELECT size, root, time FROM newest WHERE origin = ?", (origin,)).fetchone()
        self.recorded = None if found is None else Recorded(size=int.from_bytes(found[0]), root=found[1], time=found[2])

    def record(self, newest: Recorded, note: str) -> None:
        """Replace the record; it is on disk when the turn has ended."""
        size = newest.size.to_bytes(SIZE_BYTES)
        self._rows.execute(_UPSERT, (self._origin, size, newest.root, newest.time, note))


class Store:
    """The witness's memory in one file. Threads may share it."""

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        """Open the file, made when it is missing; raises StoreUnusable."""
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(OWNER_ONLY)
            self._rows = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self._prepare()
            _keep_name(path.parent)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnusable(f"{path}: {error}; a witness without its memory must not cosign") from None

    def _prepare(self) -> None:
        self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = FULL")
        if self._rows.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
        self._rows.executescript(_SCHEMA)

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Hold a log's record; what was recorded is durable when the block has ended. Raises StoreUnusable."""
        with self._lock:
            try:
                self._rows.execute("BEGIN IMMEDIATE")
                try:
                    yield Turn(self._rows, origin)
                    self._rows.execute("COMMIT")
                finally:
                    if self._rows.in_transaction:
                        self._rows.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StoreUnusable(f"{self._path}: {error}") from None

    def note_of(self, origin: str) -> str | None:
        """Return the newest cosigned checkpoint of a log; raises StoreUnusable."""
        with self._lock:
            try:
                found = self._rows.execute("SELECT note FROM newest WHERE origin = ?", (origin,)).fetchone()
            except sqlite3.Error as error:
                raise StoreUnusable(f"{self._path}: {error}") from None
        return None if found is None else str(found[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._rows.close()


def _keep_name(folder: Path) -> None:
    """Make the folder's entry of a new file durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
