"""Logs of the parts, read together: the last lines, then what is added."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tierproof_embedded.errors import NoSuchLog
from tierproof_embedded.layout import Layout
from tierproof_embedded.process import tail_of

LOOK = 0.2


def logs_of(layout: Layout, parts: Sequence[str]) -> dict[str, Path]:
    """Return the log of each named part, all of them when none is named; raises NoSuchLog."""
    known = {path.stem: path for path in sorted(layout.logs.glob("*.log"))}
    unknown = [part for part in parts if part not in known]
    if unknown:
        raise NoSuchLog(part=unknown[0], known=tuple(known))
    return {part: known[part] for part in parts} if parts else known


def last_lines(logs: Mapping[str, Path], lines: int) -> Iterator[tuple[str, str]]:
    """Return the last lines of each log, with its part."""
    for part, path in logs.items():
        for line in tail_of(path, lines).splitlines() if lines else []:
            yield part, line


def follow(logs: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Return lines as they are added, without end. A log that was emptied is read from its start."""
    read_to = {part: path.stat().st_size for part, path in logs.items()}
    while True:
        for part, path in logs.items():
            added, read_to[part] = added_since(path, read_to[part])
            for line in added:
                yield part, line
        time.sleep(LOOK)


def added_since(path: Path, position: int) -> tuple[list[str], int]:
    """Return the whole lines after a position, and the position behind them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = position if position <= size else 0
        file.seek(start)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), start + len(whole)
