"""The order of times: no token bears a time that an earlier one bears or passed, not even after a crash or a clock set back.

RFC 3161 section 2.4.2: with `ordering`, tokens of one authority are ordered by their times, however inexact the clock.
"""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from tierproof_tsa.errors import ClockWentBack, StateUnusable

OWNER_ONLY = 0o600
TICK = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RANDOM_BITS = 64
WIDTH = 20  # digits of a line, so that an overwritten line never leaves a longer one's rest


def next_time(now: datetime, last: datetime, patience: timedelta) -> datetime:
    """Return a time after the last one given out: now, or a tick later where the clock lags by no more than `patience`.

    Raises ClockWentBack where it lags by more: the token would claim an accuracy that it does not have.
    """
    if now > last:
        return now
    if last + TICK - now > patience:
        raise ClockWentBack(
            f"the clock says {now.isoformat()}, but {last.isoformat()} was given out already: set the clock"
        )
    return last + TICK


def serial_of(at: datetime, randomness: int) -> int:
    """Return a serial number: microseconds since 1970, then 64 random bits, so that not even lost state repeats one.

    At most 116 bits until the year 2100; readers must accept 160 (RFC 3161 section 2.4.2).
    """
    return (microseconds(at) << RANDOM_BITS) | (randomness % (1 << RANDOM_BITS))


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (at - EPOCH) // TICK


class Ticks:
    """The last time given out, in a file of its own that one process holds. Raises StateUnusable when another one does."""

    def __init__(self, path: Path, patience: timedelta) -> None:
        self._patience = patience
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        except OSError as error:
            raise StateUnusable(f"{path}: {error.strerror}") from None
        try:
            self._last = self._locked()
        except StateUnusable:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def after(self, now: datetime) -> datetime:
        """Return the time for a token, remembered on disk before it is given out. Raises ClockWentBack and StateUnusable."""
        at = next_time(now, self._last, self._patience)
        try:
            os.pwrite(self._file, f"{microseconds(at):0{WIDTH}d}\n".encode(), 0)
            os.fdatasync(self._file)
        except OSError as error:
            raise StateUnusable(f"{self._path}: {error.strerror}") from None
        self._last = at
        return at

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    def _locked(self) -> datetime:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateUnusable(
                f"{self._path}: another time-stamp authority holds it; give each a file of its own"
            ) from None
        text = os.pread(self._file, 2 * WIDTH, 0)
        if not text:
            return EPOCH
        if len(text) != WIDTH + 1 or not text.strip().isdigit():
            raise StateUnusable(f"{self._path}: not a time; if the clock is right, remove the file")
        return EPOCH + int(text) * TICK
