"""Files of a log that any web server can serve (c2sp.org/tlog-tiles): their names, their bytes, and how they are written durably."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.tree import TILE_WIDTH

PREFIX_SIZE = 2  # bytes before each entry of a bundle: its length, big-endian
UNFINISHED = ".unfinished"
_GROUP = 1000


def tile_path(level: int | None, n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile below the log's folder; level None is for bundles of entries, `width` < 256 for a partial tile."""
    groups = [f"{n % _GROUP:03d}"]
    while n := n // _GROUP:
        groups.insert(0, f"x{n % _GROUP:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{'/'.join(groups)}{partial}"


def bundle_of(entries: Iterable[bytes]) -> bytes:
    """Return the bytes of an entry bundle; raises OverflowError for an entry of more than 65,535 bytes."""
    return b"".join(part for entry in entries for part in (len(entry).to_bytes(PREFIX_SIZE, "big"), entry))


def entries_in(bundle: bytes) -> Iterator[bytes]:
    """Yield a bundle's entries; raises Corrupted when it ends within one."""
    at = 0
    while at < len(bundle):
        start = at + PREFIX_SIZE
        at = start + int.from_bytes(bundle[at:start], "big")
        if at > len(bundle):
            raise Corrupted("an entry bundle ends within an entry")
        yield bundle[start:at]


def write_all(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files so that each is there whole or not at all, and that all are there when this returns."""
    waiting = []
    for path, content in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}{UNFINISHED}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        waiting.append(descriptor)
        try:
            write_whole(descriptor, content)
        finally:
            os.close(descriptor)
    for path, _ in files:  # after all were written: the file system puts them on disk together
        unfinished = path.with_name(f".{path.name}{UNFINISHED}")
        sync(unfinished)
        unfinished.replace(path)
    for folder in {parent for path, _ in files for parent in path.parents[:3]}:
        sync(folder)


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all bytes; a full disk raises OSError instead of cutting them short."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
