"""An export pack: a folder that strangers can check with one file of Python, no network and no database.

| path | holds |
|---|---|
| `manifest.json` | size, root, conditions, digests of the files |
| `entries.jsonl`, `entries.csv` | the selected entries, for programs and for people |
| `checkpoint`, `checkpoints.jsonl` | the published checkpoints, cosigned; the first is the newest |
| `tile/` | the hash tiles of the whole log, and of a whole log its entries (c2sp.org/tlog-tiles) |
| `proofs/` | one c2sp.org/tlog-proof an entry, where the pack holds only some of them |
| `timestamps/` | RFC 3161 replies over the text of checkpoints |
| `keys.json`, `policy` | whom the exporter trusted; a stranger brings their own |
| `tierproof_verify.py`, `README.md` | the verifier, and how to use it |
"""

import csv
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import IO, Any

from tierproof_proofs import digests
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.merkle import HASH_SIZE, NodeReader, inclusion_proof, range_root, root_of
from tierproof_proofs.tlog_proof import TlogProof

PACK_VERSION = 1
TILE_HEIGHT, TILE_WIDTH = 8, 256
COLUMNS = (
    *("index", "recorded_at", "kind", "event_type", "event_id", "task_id", "tenant", "actor", "safety_class"),
    *("occurred_at", "reason"),
)
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four: as wide as an East Asian letter


def tile_path(level: int | str, n: int, width: int) -> str:
    """Return a tile's path: three digits a folder, `.p/<width>` for one that is not full (c2sp.org/tlog-tiles)."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.append(f"x{n % 1000:03}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + ("" if width == TILE_WIDTH else f".p/{width}")


def cell(value: object) -> str:
    """Return a cell, JSON where it is no text; what a spreadsheet takes for a formula begins with an apostrophe."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return "" if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def told(index: int, entry: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what the columns say of an entry, as the ledger's own search columns do."""
    event = _object(entry.get("event"))
    data = _object(event.get("data"))
    return (
        index,
        entry.get("recorded_at"),
        entry.get("kind"),
        event.get("type"),
        event.get("id"),
        _first(data.get("task_id"), entry.get("task_id")),
        data.get("tenant"),
        _first(data.get("signer"), data.get("actor"), event.get("source")),
        data.get("safety_class"),
        event.get("time"),
        _first(data.get("reason"), data.get("because"), entry.get("reason")),
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)


class EntryFiles:
    """The files of entries, written one entry at a time in ascending order."""

    def __init__(self, folder: Path, *, bundles: bool) -> None:
        self._folder, self._bundles = folder, bundles
        self._bundle: list[bytes] = []
        self.count = 0
        self._open = ExitStack()
        self._lines: IO[bytes] = self._open.enter_context((folder / "entries.jsonl").open("wb"))
        table = self._open.enter_context((folder / "entries.csv").open("w", newline="", encoding="utf-8"))
        self._table = csv.writer(table)
        self._table.writerow(COLUMNS)

    def add(self, index: int, entry: bytes) -> None:
        """Write one entry."""
        self.count += 1
        self._lines.write(b'{"index":%d,"entry":%b}\n' % (index, entry))
        self._table.writerow([cell(value) for value in told(index, json.loads(entry))])
        if self._bundles:
            self._bundle.append(struct.pack(">H", len(entry)) + entry)
            if len(self._bundle) == TILE_WIDTH:
                self._close_bundle()

    def _close_bundle(self) -> None:
        n = (self.count - 1) // TILE_WIDTH
        write(self._folder / tile_path("entries", n, len(self._bundle)), b"".join(self._bundle))
        self._bundle = []

    def close(self) -> None:
        """Write what is left."""
        if self._bundle:
            self._close_bundle()
        self._open.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFiles:
    """The hash tiles of a log of `size` entries in a pack's folder."""

    folder: Path
    size: int

    def width(self, level: int, n: int) -> int:
        """Return how many hashes a tile has."""
        return max(0, min(TILE_WIDTH, (self.size >> TILE_HEIGHT * level) - n * TILE_WIDTH))

    def add(self, level: int, n: int, hashes: bytes) -> None:
        """Write a tile."""
        write(self.folder / tile_path(level, n, len(hashes) // HASH_SIZE), hashes)

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield level and number of every tile of the whole tree, level by level."""
        level = 0
        while hashes := self.size >> TILE_HEIGHT * level:
            for n in range(-(-hashes // TILE_WIDTH)):
                yield level, n
            level += 1

    def count(self) -> int:
        """Return how many tiles the whole tree has."""
        return sum(1 for _ in self.places())

    def read(self, level: int, n: int) -> list[bytes]:
        """Return a tile's hashes; raises OSError."""
        content = (self.folder / tile_path(level, n, self.width(level, n))).read_bytes()
        return [content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE)]


def node_reader(tile: Callable[[int, int], Sequence[bytes]]) -> NodeReader:
    """Return a reader of inner nodes from tiles."""

    def node(level: int, index: int) -> bytes:
        tile_level, within = divmod(level, TILE_HEIGHT)
        n, first = divmod(index << within, TILE_WIDTH)
        parts = tile(tile_level, n)[first : first + (1 << within)]
        return range_root(0, len(parts), lambda height, at: root_of(parts[at << height : (at + 1) << height]))

    return node


def proof_files(
    folder: Path, indexes: Sequence[int], size: int, note: str, tile: Callable[[int, int], Sequence[bytes]]
) -> Iterator[int]:
    """Write the proof of each entry under one checkpoint, yielding each index."""
    node = node_reader(tile)
    for index in indexes:
        proof = TlogProof(index=index, hashes=tuple(inclusion_proof(index, size, node)), checkpoint=note)
        write(folder / "proofs" / f"{index}.tlog-proof", str(proof).encode())
        yield index


def manifest(folder: Path, checkpoint: Checkpoint, **members: object) -> dict[str, Any]:
    """Write the manifest over the files that are there, and return it."""
    listed = {
        path.relative_to(folder).as_posix(): digests.of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in {"manifest.json", "tile", "proofs"}
    }
    said = {
        "pack": PACK_VERSION,
        "log": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        **members,
        "files": listed,
    }
    write(folder / "manifest.json", (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode())
    return said


def readme(**facts: object) -> bytes:
    """Return the text for whoever opens the pack."""
    template = Template(files("tierproof").joinpath("pack_readme.md").read_text(encoding="utf-8"))
    return template.substitute({name: str(value) for name, value in facts.items()}).encode()


def write(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
