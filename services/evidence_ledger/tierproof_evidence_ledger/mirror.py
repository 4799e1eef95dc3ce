"""The second copy of the log: a folder on another volume, from which a lost database is made anew byte for byte.

It is laid out as c2sp.org/tlog-tiles says, so that any web server can serve it: `checkpoint`, `tile/<L>/<N>`, `tile/entries/<N>`.
Entries since the last full bundles lie in `.journal`; they are out for readers as soon as a checkpoint is published that covers them.
One process holds the folder at a time. Whatever the folder lacks of its newest files after a crash, `open` writes again.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tierproof_proofs.checkpoint import Checkpoint, parse_checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, range_root
from tierproof_proofs.note import parse_note

from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.journal import Journal
from tierproof_evidence_ledger.mirror_folder import (
    CHECKPOINT,
    JOURNAL,
    MirrorDiverged,
    MirrorUnusable,
    held,
    said_clearly,
    tile_reader,
)
from tierproof_evidence_ledger.tiles_on_disk import bundle_of, entries_in, tile_path, write_all
from tierproof_evidence_ledger.tree import TILE_HEIGHT, TILE_WIDTH, Tile, Tree, hashes_of, node_reader, rebuilt

FULL_BUNDLES = 32  # bundles in the journal before they become files: with 512 entries a batch, each 16th pays for that
MOST_BYTES = 32_000_000  # of entries in the journal, which are held in memory as well


@dataclass(slots=True, kw_only=True)
class Mirror:
    """An open mirror; every method may be called from any thread. After MirrorUnusable it must be opened anew."""

    folder: Path
    origin: str
    _lock: int
    _journal: Journal
    _tree: Tree
    _published: Checkpoint | None = None
    _unwritten: dict[tuple[int, int], Tile] = field(default_factory=dict)
    _broken: bool = False
    _closed: bool = False
    _filing: threading.Lock = field(default_factory=threading.Lock)  # held while files are written; taken before `_one`
    _one: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, folder: Path, origin: str) -> Self:
        """Open the mirror of a log, or begin one in an empty folder.

        Raises Corrupted when files are missing or damaged or of another log, MirrorUnusable when it cannot be written.
        """
        with said_clearly(folder):
            lock = held(folder, origin)
            with ExitStack() as undo:
                undo.callback(os.close, lock)
                mirror = cls._opened(folder, origin, lock)
                undo.pop_all()
            return mirror

    @classmethod
    def _opened(cls, folder: Path, origin: str, lock: int) -> Self:
        journal = Journal.open(folder / JOURNAL)
        with ExitStack() as undo:
            undo.callback(journal.close)
            tree = rebuilt(journal.first, tile_reader(folder), ())
            mirror = cls(folder=folder, origin=origin, _lock=lock, _journal=journal, _tree=tree)
            mirror._grow(journal.entries)
            mirror._published = mirror._checked_checkpoint()
            undo.pop_all()
        return mirror

    def close(self) -> None:
        """Let go of the folder."""
        with self._filing, self._one:
            if not self._closed:
                self._closed = self._broken = True
                self._journal.close()
                os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """The number of entries that are safely there."""
        return self._tree.size

    def append(self, first: int, entries: Sequence[bytes]) -> None:
        """Have entries `first` and following on disk when this returns; those that are there already are compared.

        Raises MirrorDiverged when one is another than the mirror's or when there would be a hole, MirrorUnusable.
        """
        with self._one, self._writing():
            if first > self.size:
                raise MirrorDiverged(f"the mirror holds {self.size} entries and cannot go on with entry {first}")
            held = self.size - first
            for seq, (ours, given) in enumerate(
                zip(self._held(first, first + len(entries)), entries, strict=False), first
            ):
                if ours != given:
                    raise MirrorDiverged(f"entry {seq} of the mirror is another than the ledger's")
            fresh = list(entries[held:])
            if not fresh:
                return
            self._journal.append(fresh)
            self._grow(fresh)
            much = self._is_much()
        if much:
            with self._filing:
                self._settle()

    def publish(self, note: str, size: int) -> None:
        """Let readers have the first `size` entries: tiles, partial ones included, then the checkpoint. Meanwhile, entries are appended.

        Raises MirrorDiverged when the note is not of these entries, MirrorUnusable. Its signatures are the caller's to check.
        """
        with self._filing:
            with self._one, self._writing():
                checkpoint = self._checked(note)
                if checkpoint.size != size:
                    raise MirrorDiverged(f"a checkpoint of {checkpoint.size} was given as one of {size}")
                before = self._published
                if before is not None and size < before.size:
                    raise MirrorDiverged(f"a checkpoint of {before.size} is published; {size} would be a step back")
                partials = [(self.folder / path, content) for path, content in self._partials(size)]
            self._settle()
            with self._writing():
                write_all(partials)
                write_all([(self.folder / CHECKPOINT, note.encode())])
                self._published = checkpoint
                if before is not None:
                    self._sweep(before.size, size)

    def checkpoint(self) -> str | None:
        """Return the published note."""
        path = self.folder / CHECKPOINT
        with self._one, said_clearly(self.folder):
            return path.read_text() if path.exists() else None

    def entries(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the entries with `first` <= seq < `last`; raises Corrupted when the mirror lacks one."""
        if not 0 <= first <= last <= self.size:
            raise Corrupted(f"the mirror holds {self.size} entries, not those from {first} to {last}")
        return self._held(first, last)

    def root(self, size: int) -> bytes:
        """Return the root of the first `size` entries; raises Corrupted when there are fewer."""
        with self._one, said_clearly(self.folder):
            if not 0 <= size <= self.size:
                raise Corrupted(f"the mirror holds {self.size} entries and knows no root of {size}")
            if size == self.size:
                return self._tree.frontier.root()
            return range_root(0, size, node_reader(self._hashes)) if size else EMPTY_ROOT

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `old` entries begin the first `new` ones; needs 0 < old <= new <= size."""
        with self._one, said_clearly(self.folder):
            return consistency_proof(old, new, node_reader(self._hashes))

    def _held(self, first: int, last: int) -> Iterator[bytes]:
        """Yield entries that are there, as many as there are."""
        seq, last = first, min(last, self.size)
        while seq < last:
            with self._one, said_clearly(self.folder):
                start, chunk = self._chunk(seq)
            taken = chunk[seq - start : last - start]
            if not taken:
                raise Corrupted(f"entry {seq} is missing in the mirror's {tile_path(None, seq // TILE_WIDTH)}")
            yield from taken
            seq += len(taken)

    def _chunk(self, seq: int) -> tuple[int, list[bytes]]:
        """Return entries around a seq, and the seq of the first of them."""
        if seq >= self._journal.first:
            return self._journal.first, self._journal.entries
        n = seq // TILE_WIDTH
        entries = list(entries_in((self.folder / tile_path(None, n)).read_bytes()))
        if b"".join(map(leaf_hash, entries)) != tile_reader(self.folder)(0, n):
            raise Corrupted(f"{tile_path(None, n)} of the mirror is damaged: its entries are not those of the tree")
        return n * TILE_WIDTH, entries

    def _grow(self, entries: Sequence[bytes]) -> None:
        self._tree, tiles = self._tree.grown(map(leaf_hash, entries))
        self._unwritten |= {(tile.level, tile.n): tile for tile in tiles}

    def _is_much(self) -> bool:
        held = len(self._journal.entries)
        return held >= FULL_BUNDLES * TILE_WIDTH or (held >= TILE_WIDTH and self._journal.end > MOST_BYTES)

    def _settle(self) -> None:
        """Give each full bundle and tile its own file, and shorten the journal after that; the caller holds `_filing`."""
        with self._one:
            first, tiles = self._journal.first, list(self._unwritten.values())
            full = len(self._journal.entries) // TILE_WIDTH
            entries = self._journal.entries[: full * TILE_WIDTH]
        files = [(self.folder / tile_path(tile.level, tile.n), tile.hashes) for tile in tiles]
        for at in range(0, len(entries), TILE_WIDTH):
            path = tile_path(None, (first + at) // TILE_WIDTH)
            files.append((self.folder / path, bundle_of(entries[at : at + TILE_WIDTH])))
        with self._writing():
            write_all(files)
        with self._one, self._writing():
            for tile in tiles:
                del self._unwritten[tile.level, tile.n]
            if full:
                self._journal.begin_at(first + full * TILE_WIDTH)

    def _partials(self, size: int) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of the tiles that are partial at a size."""
        width = size % TILE_WIDTH
        if width:
            yield tile_path(None, size // TILE_WIDTH, width), bundle_of(self._held(size - width, size))
        for level in range(-(-size.bit_length() // TILE_HEIGHT)):
            n, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
            if width:
                yield tile_path(level, n, width), b"".join(self._hashes(level, n * TILE_WIDTH, width))

    def _sweep(self, before: int, size: int) -> None:
        """Remove partial tiles of an earlier size where the full tile is there now."""
        for level in (None, *range(-(-before.bit_length() // TILE_HEIGHT))):
            shift = TILE_HEIGHT * ((level or 0) + 1)
            if before >> shift < size >> shift:
                partial = self.folder / tile_path(level, before >> shift, 1)
                shutil.rmtree(partial.parent, ignore_errors=True)  # another time: the full tile is there

    def _hashes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of subtrees of 2^(8 * level) entries, all within one tile."""
        n, within = divmod(first, TILE_WIDTH)
        if n == (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH:
            return self._tree.edge(level)[within : within + count]
        tile = self._unwritten.get((level, n))
        hashes = hashes_of(tile.hashes if tile else tile_reader(self.folder)(level, n))
        return hashes[within : within + count]

    def _checked(self, note: str) -> Checkpoint:
        """Return what a note says; raises MirrorDiverged when it is not of the entries that are there."""
        try:
            checkpoint = parse_checkpoint(parse_note(note.encode()).text)
        except ProofError as error:
            raise MirrorDiverged(f"the mirror's checkpoint: {error.diagnosis()}") from None
        if checkpoint.origin != self.origin:
            raise MirrorDiverged(f"the checkpoint is of {checkpoint.origin}, the mirror of {self.origin}")
        if checkpoint.size > self.size:
            raise MirrorDiverged(
                f"a checkpoint of {checkpoint.size} is published, and the mirror holds {self.size} entries"
            )
        if checkpoint.root != self.root(checkpoint.size):
            raise MirrorDiverged(f"the mirror's entries do not give the root of the checkpoint of {checkpoint.size}")
        return checkpoint

    def _checked_checkpoint(self) -> Checkpoint | None:
        note = self.checkpoint()
        return None if note is None else self._checked(note)

    def _writing(self) -> "_Writing":
        return _Writing(self)


@dataclass(frozen=True, slots=True)
class _Writing:
    """A write to the mirror: after an error that may have left half of it, the mirror must be opened anew."""

    mirror: Mirror

    def __enter__(self) -> None:
        if self.mirror._broken:  # noqa: SLF001 - part of the mirror
            raise MirrorUnusable("the mirror was closed, or an earlier write to it failed: open it anew")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            self.mirror._broken = True  # noqa: SLF001 - part of the mirror
        said_clearly(self.mirror.folder).__exit__(kind, error, trace)
