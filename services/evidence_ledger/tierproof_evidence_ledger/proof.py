"""`.tlog-proof` files and tiles from the stored tree, read with the auditor's rights.

Full tiles never change, so what was computed from them is kept: the open right edge of the tree costs its new tiles alone.
"""

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from tierproof_proofs.note import parse_note
from tierproof_proofs.tlog_proof import TlogProof

from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.moments import NotCovered, Rows, published_at
from tierproof_evidence_ledger.tree import TILE_HEIGHT, TILE_WIDTH, hashes_of, node_reader

ROOTS_REMEMBERED = 1 << 16
EDGES_REMEMBERED, UPPER_REMEMBERED = 16, 256
Place = tuple[int, int]


class Tree:
    """What readers of the tree remember between questions: roots of full tiles, upper tiles, the open tiles of a few sizes. For threads."""

    def __init__(self) -> None:
        self.roots: dict[Place, bytes] = {}
        self.edges: dict[tuple[int, int], list[bytes]] = {}
        self.upper: dict[Place, list[bytes]] = {}

    def reader(self, rows: Rows, size: int) -> "TreeReader":
        """Return a reader of the tree of `size` leaves for the time of one question."""
        return TreeReader(rows, size, self)


class TreeReader:
    """The tiles of one tree. Raises Corrupted where a stored part is missing."""

    def __init__(self, rows: Rows, size: int, tree: Tree) -> None:
        self._rows, self.size, self._tree = rows, size, tree
        self._tiles: dict[Place, list[bytes]] = {}

    def width(self, level: int, n: int) -> int:
        """Return how many hashes a tile has: 256, fewer at the right edge, none beyond it."""
        return max(0, min(TILE_WIDTH, (self.size >> TILE_HEIGHT * level) - n * TILE_WIDTH))

    def tile(self, level: int, n: int) -> list[bytes]:
        """Return a tile's hashes."""
        if (level, n) not in self._tiles:
            width = self.width(level, n)
            self._tiles[level, n] = self._full(level, n) if width == TILE_WIDTH else self._open(level, n, width)
        return self._tiles[level, n]

    def hashes_at(self, level: int, first: int, count: int) -> list[bytes]:
        """Return hashes of a level, all within one tile."""
        n, within = divmod(first, TILE_WIDTH)
        return self.tile(level, n)[within : within + count]

    def _full(self, level: int, n: int) -> list[bytes]:
        if level == 0:
            return self._stored(level, n)
        known = self._tree.upper.get((level, n))  # of these there is one for 65,536 entries
        if known is None:
            known = self._tree.upper[level, n] = self._stored(level, n)
            forget(self._tree.upper, UPPER_REMEMBERED)
        return known

    def _stored(self, level: int, n: int) -> list[bytes]:
        query = "SELECT hashes FROM ledger.v_tile WHERE level = %s AND n = %s"
        row = self._rows.execute(query, [level, n], prepare=True).fetchone()
        if row is None:
            raise Corrupted(f"tile {n} of level {level} is missing: run `verify`")
        return hashes_of(bytes(row["hashes"]))

    def _open(self, level: int, n: int, width: int) -> list[bytes]:
        known = self._tree.edges.get((level, self.size))
        if known is None:
            first = n * TILE_WIDTH
            known = self._leaves(first, width) if level == 0 else self._roots(level - 1, first, width)
            self._tree.edges[level, self.size] = known
            forget(self._tree.edges, EDGES_REMEMBERED)
        return known

    def _leaves(self, first: int, width: int) -> list[bytes]:
        """Return the newest leaf hashes from the checkpoints that added them."""
        query = "SELECT size, leaves FROM ledger.v_checkpoint WHERE size > %s AND size <= %s ORDER BY size"
        added = self._rows.execute(query, [first, self.size], prepare=True).fetchall()
        found = [part for row in added for part in hashes_of(bytes(row["leaves"]))][-width:] if width else []
        if len(found) != width:
            raise Corrupted(f"leaves between {first} and {self.size} are missing: run `verify`")
        return found

    def _roots(self, level: int, first: int, count: int) -> list[bytes]:
        """Return the roots of full tiles, computing those that are not known yet."""
        known = self._tree.roots
        roots = {n: known[level, n] for n in range(first, first + count) if (level, n) in known}
        if len(roots) < count:
            query = "SELECT n, hashes FROM ledger.v_tile WHERE level = %s AND n = ANY (%s)"
            unknown = [n for n in range(first, first + count) if n not in roots]
            for row in self._rows.execute(query, [level, unknown]).fetchall():
                known[level, row["n"]] = roots[row["n"]] = root_of(hashes_of(bytes(row["hashes"])))
            forget(known, ROOTS_REMEMBERED)
        if len(roots) < count:
            raise Corrupted(f"tiles of level {level} between {first} and {first + count} are missing: run `verify`")
        return [roots[n] for n in range(first, first + count)]


def forget(remembered: dict[Any, Any], most: int) -> None:
    """Drop the oldest of what is remembered."""
    for key in list(remembered)[: max(0, len(remembered) - most)]:
        remembered.pop(key, None)


def proof_of(rows: Rows, seq: int, content: bytes, tree: Tree) -> str:
    """Return the proof file of an entry under the newest published checkpoint; raises NotCovered.

    A proof that does not hold is not given out: raises Corrupted.
    """
    published = published_at(rows)
    checkpoint = parse_checkpoint(parse_note(published.note.encode()).text)
    if not 0 <= seq < checkpoint.size:
        raise NotCovered(
            f"entry {seq} is not under the newest published checkpoint, of {checkpoint.size} entries; ask again soon"
        )
    hashes = inclusion_proof(seq, checkpoint.size, node_reader(tree.reader(rows, checkpoint.size).hashes_at))
    try:
        verify_inclusion(seq, checkpoint.size, leaf_hash(content), hashes, checkpoint.root)
    except ProofError:
        raise Corrupted(f"entry {seq} does not lead to the root of {checkpoint.size} entries: run `verify`") from None
    return str(TlogProof(index=seq, hashes=tuple(hashes), checkpoint=published.note))


def tiles_from(
    rows: Rows, tree: Tree, size: int, start: Place, count: int
) -> tuple[list[tuple[int, int, bytes]], Place | None]:
    """Return at most `count` tiles (level, n, hashes) from a place on, level by level, and the place after them, None at the end."""
    reader = tree.reader(rows, size)
    places = _places(reader, *start)
    wanted = list(islice(places, count))
    stored = _stored(rows, [place for place in wanted if reader.width(*place) == TILE_WIDTH])
    found = [(*place, stored.get(place) or b"".join(reader.tile(*place))) for place in wanted]
    return found, next(places, None)


def _places(reader: TreeReader, level: int, n: int) -> Iterator[Place]:
    while reader.size >> TILE_HEIGHT * level:
        while reader.width(level, n):
            yield level, n
            n += 1
        level, n = level + 1, 0


def _stored(rows: Rows, places: list[Place]) -> dict[Place, bytes]:
    found: dict[Place, bytes] = {}
    for level, of_level in groupby(places, key=lambda place: place[0]):
        numbers = [n for _, n in of_level]
        query = "SELECT n, hashes FROM ledger.v_tile WHERE level = %s AND n BETWEEN %s AND %s"
        for row in rows.execute(query, [level, numbers[0], numbers[-1]]).fetchall():
            found[level, row["n"]] = bytes(row["hashes"])
    return found
