"""The Merkle tree of the entries, computed anew, against the files of the mirror and the memory of the witness."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.merkle import leaf_hash, node_hash, root_of
from tierproof_proofs.note import parse_note

WIDTH, LENGTH = 256, 2


@dataclass(slots=True)
class Leaves:
    """Entries by their leaf hashes, in order."""

    hashes: list[bytes] = field(default_factory=list)
    _roots: dict[int, bytes] = field(default_factory=dict)

    def add(self, content: bytes) -> None:
        """Add an entry."""
        self.hashes.append(leaf_hash(content))

    def root(self, size: int) -> bytes:
        """Return the root of the first entries."""
        if size not in self._roots:
            self._roots[size] = root_of(self.hashes[:size])
        return self._roots[size]


def mirror_faults(folder: Path, leaves: Leaves) -> Iterator[str]:
    """Say where the mirror's checkpoint, bundles and tiles are not those of the entries."""
    size, root = _said((folder / "checkpoint").read_text())
    if size != len(leaves.hashes):
        yield f"mirror: its checkpoint is of {size} entries, there are {len(leaves.hashes)}"
    elif root != leaves.root(size):
        yield f"mirror: its checkpoint of {size} names another root"
    yield from _files(folder / "tile" / "entries", leaves.hashes, "entries")
    hashes, level = leaves.hashes, 0
    while hashes:
        yield from _files(folder / "tile" / str(level), hashes, str(level))
        hashes, level = (
            [_subtree(hashes[at : at + WIDTH]) for at in range(0, len(hashes) - WIDTH + 1, WIDTH)],
            level + 1,
        )


def _files(folder: Path, hashes: Sequence[bytes], what: str) -> Iterator[str]:
    """Compare one level's files with the hashes; each full tile must be there, and the partial one that the size asks for."""
    for first in range(0, len(hashes), WIDTH):
        expected = hashes[first : first + WIDTH]
        path = _path(folder, first // WIDTH)
        if len(expected) < WIDTH:
            path = path.with_name(f"{path.name}.p") / str(len(expected))
        name = f"mirror: tile/{what}/{path.relative_to(folder)}"
        if not path.exists():
            yield f"{name} is missing"
        elif _hashes(path.read_bytes(), entries=what == "entries") != list(expected):
            yield f"{name} is not that of the entries"


def _path(folder: Path, n: int) -> Path:
    name = f"{n % 1000:03}"
    while n := n // 1000:
        name = f"x{n % 1000:03}/{name}"
    return folder / name


def _hashes(content: bytes, *, entries: bool) -> list[bytes]:
    if not entries:
        return [content[at : at + 32] for at in range(0, len(content), 32)]
    found, at = [], 0
    while at < len(content):
        start = at + LENGTH
        at = start + int.from_bytes(content[at:start])
        found.append(leaf_hash(content[start:at]))
    return found


def _subtree(hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def witness_faults(store: Path, leaves: Leaves) -> Iterator[str]:
    """Say what the witness remembers and the entries do not give."""
    with sqlite3.connect(store) as rows:
        found = rows.execute("SELECT size, root, note FROM newest").fetchall()
    rows.close()
    if len(found) != 1:
        yield f"witness: it remembers {len(found)} logs, and there is one"
    for stored, root, note in found:
        size = int.from_bytes(stored)
        if size != len(leaves.hashes):
            yield f"witness: it remembers {size} entries, there are {len(leaves.hashes)}"
        if size > len(leaves.hashes) or root != leaves.root(size) or _said(note) != (size, root):
            yield f"witness: its checkpoint of {size} is not one of these entries"


def _said(note: str) -> tuple[int, bytes]:
    checkpoint = parse_checkpoint(parse_note(note.encode()).text)
    return checkpoint.size, checkpoint.root
