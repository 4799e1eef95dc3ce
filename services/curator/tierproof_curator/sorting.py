"""Sorting more lines than fit into memory, by the digest of each: equal content has one order, whatever order it came in."""

import hashlib
import heapq
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

Keyed = tuple[bytes, bytes]
MOST_RUNS = 128  # files that are merged at once


def by_digest(lines: Iterable[bytes], *, scratch: Path, memory: int) -> Iterator[bytes]:
    """Yield the lines in the order of their SHA-256; holds about `memory` bytes of them at a time."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".sorting-") as folder:
        runs = list(_runs(lines, Path(folder), memory))
        while len(runs) > MOST_RUNS:
            merged = Path(folder) / f"merged-{len(runs)}-{runs[0].name}"
            _write(merged, heapq.merge(*(_read(run) for run in runs[:MOST_RUNS])))
            for run in runs[:MOST_RUNS]:
                run.unlink()
            runs = [*runs[MOST_RUNS:], merged]
        for _, line in heapq.merge(*(_read(run) for run in runs)):
            yield line


def _runs(lines: Iterable[bytes], folder: Path, memory: int) -> Iterator[Path]:
    held: list[Keyed] = []
    size = number = 0
    for line in lines:
        held.append((hashlib.sha256(line).digest(), line))
        size += len(line) + 150  # what Python needs besides the bytes
        if size >= memory:
            yield _run(held, folder, number)
            held, size, number = [], 0, number + 1
    if held:
        yield _run(held, folder, number)


def _run(held: list[Keyed], folder: Path, number: int) -> Path:
    held.sort()
    path = folder / f"run-{number}"
    _write(path, held)
    return path


def _write(path: Path, keyed: Iterable[Keyed]) -> None:
    with path.open("wb", buffering=1 << 20) as file:
        for _, line in keyed:
            file.write(line + b"\n")


def _read(path: Path) -> Iterator[Keyed]:
    with path.open("rb", buffering=1 << 18) as file:
        for line in file:
            content = line[:-1]
            yield hashlib.sha256(content).digest(), content
