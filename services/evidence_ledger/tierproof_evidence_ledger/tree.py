"""The log's tree between batches: its frontier, and the tiles that a batch fills (c2sp.org/tlog-tiles, full tiles only). Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tierproof_proofs.merkle import HASH_SIZE, Frontier, range_root, root_of

from tierproof_evidence_ledger.errors import Corrupted

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A full tile: 256 hashes of subtrees of 2^(8 * level) leaves, the n-th of its level."""

    level: int
    n: int
    hashes: bytes


class Tree:
    """A frontier, and per level the hashes of the tile that is not full yet."""

    def __init__(self, frontier: Frontier, edges: Sequence[Sequence[bytes]] = ()) -> None:
        self.frontier = frontier
        self._edges = [list(edge) for edge in edges]

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.frontier.size

    def edge(self, level: int) -> Sequence[bytes]:
        """Return the hashes of a level's tile that is not full yet, or that nothing has reached."""
        return self._edges[level] if level < len(self._edges) else ()

    def grown(self, leaves: Iterable[bytes]) -> tuple["Tree", list[Tile]]:
        """Return the tree with more leaves, and the tiles that these have filled; this tree stays as it is."""
        tree = Tree(self.frontier.copy(), self._edges)
        tiles: list[Tile] = []
        for leaf in leaves:
            tree.frontier.append(leaf)
            tree._push(0, leaf, tiles)
        return tree, tiles

    def _push(self, level: int, part: bytes, tiles: list[Tile]) -> None:
        if level == len(self._edges):
            self._edges.append([])
        edge = self._edges[level]
        edge.append(part)
        if len(edge) == TILE_WIDTH:
            n = (self.frontier.size >> (TILE_HEIGHT * (level + 1))) - 1
            tiles.append(Tile(level=level, n=n, hashes=b"".join(edge)))
            root = root_of(edge)
            edge.clear()
            self._push(level + 1, root, tiles)


def hashes_of(tile: bytes) -> list[bytes]:
    """Return the hashes in a tile's bytes."""
    return [tile[at : at + HASH_SIZE] for at in range(0, len(tile), HASH_SIZE)]


def rebuilt(size: int, tile: Callable[[int, int], bytes], leaf_edge: Sequence[bytes]) -> Tree:
    """Rebuild a tree of `size` leaves from its full tiles and the leaf hashes after the last full one.

    `tile(level, n)` returns a full tile's bytes. Reads at most 256 tiles per level. Raises Corrupted when parts do not fit.
    """
    if len(leaf_edge) != size % TILE_WIDTH:
        raise Corrupted(f"{len(leaf_edge)} leaves follow the last full tile, {size % TILE_WIDTH} should")
    edges = [list(leaf_edge)]
    full, level = size >> TILE_HEIGHT, 1
    while full:
        first = full - full % TILE_WIDTH  # hashes of this level that are not in a full tile of it yet
        edges.append([root_of(hashes_of(tile(level - 1, n))) for n in range(first, full)])
        full, level = full >> TILE_HEIGHT, level + 1
    frontier = Frontier()
    for height in reversed(range(len(edges))):
        for part in edges[height]:
            frontier.extend_by(part, height * TILE_HEIGHT)
    return Tree(frontier, edges)


def node_reader(hashes_at: Callable[[int, int, int], Sequence[bytes]]) -> Callable[[int, int], bytes]:
    """Return a reader of inner nodes; `hashes_at(level, first, count)` gives the hashes of subtrees of 2^(8 * level) leaves."""

    def node(level: int, index: int) -> bytes:
        tile_level, within = divmod(level, TILE_HEIGHT)
        count = 1 << within
        parts = hashes_at(tile_level, index * count, count)
        return range_root(0, count, lambda height, place: root_of(parts[place << height : (place + 1) << height]))

    return node
