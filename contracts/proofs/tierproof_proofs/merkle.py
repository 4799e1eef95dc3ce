"""The Merkle tree of RFC 6962 section 2.1, SHA-256: hashing, compact ranges, inclusion and consistency proofs.

Verifiers work in at most 64 steps and two list lengths, whatever sizes a proof claims.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from tierproof_proofs.errors import Malformed, NotVerified

HASH_SIZE = 32
LARGEST_TREE = 2**64 - 1
EMPTY_ROOT = sha256(b"").digest()

# The hash of the complete subtree of 2^level leaves that starts at leaf index * 2^level.
NodeReader = Callable[[int, int], bytes]


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf's content."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree's compact range: one hash per complete subtree, largest first; at most 64 hashes.

    `size` is the number of leaves; `hashes` follow the binary digits of `size`.
    """

    __slots__ = ("_stack", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if not 0 <= size <= LARGEST_TREE or len(hashes) != size.bit_count():
            raise Malformed(f"a tree of {size} leaves has {max(size, 0).bit_count()} subtrees, not {len(hashes)}")
        self.size = size
        self._stack = [_hash_of_right_size(part) for part in hashes]

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The complete subtrees' hashes, largest first."""
        return tuple(self._stack)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.extend_by(leaf, 0)

    def extend_by(self, subtree: bytes, level: int) -> None:
        """Add the hash of a complete subtree of 2^level leaves; raises Malformed unless `size` is a multiple of that."""
        if self.size & ((1 << level) - 1):
            raise Malformed(f"a subtree of 2^{level} leaves cannot start at leaf {self.size}")
        position = self.size >> level
        while position & 1:
            subtree = node_hash(self._stack.pop(), subtree)
            position >>= 1
        self._stack.append(subtree)
        self.size += 1 << level

    def root(self) -> bytes:
        """Return the root hash."""
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> "Frontier":
        """Return an independent frontier of the same leaves."""
        return Frontier(self.size, self._stack)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def range_root(start: int, end: int, node: NodeReader) -> bytes:
    """Return the root of the leaves [start, end), where start is a multiple of a power of two not below end - start."""
    hashes = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(node(level, start >> level))
        start += 1 << level
    root = hashes.pop()
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the hashes from the leaf's sibling up to the root's child (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise Malformed(f"leaf {index} is not in a tree of {size} leaves")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < split:
            proof.append(range_root(split, end, node))
            end = split
        else:
            proof.append(range_root(start, split, node))
            start = split
    return proof[::-1]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """Return the hashes that lead from the old root to the new one (RFC 6962 section 2.1.2); needs 0 < old <= new."""
    if not 0 < old <= new:
        raise Malformed(f"no consistency proof leads from {old} to {new} leaves")
    proof: list[bytes] = []
    start, end, whole = 0, new, True
    while end > old:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if old <= split:
            proof.append(range_root(split, end, node))
            end = split
        else:
            proof.append(range_root(start, split, node))
            start, whole = split, False
    if not whole:
        proof.append(range_root(start, end, node))
    return proof[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf`, a leaf hash, is at `index` of the tree; raises NotVerified or Malformed."""
    if not 0 <= index < size <= LARGEST_TREE:
        raise Malformed(f"leaf {index} is not in a tree of {size} leaves")
    inner, border = _proof_shape(index, size)
    _refuse_other_length(proof, inner + border)
    computed = _chain_inner(_hash_of_right_size(leaf), proof[:inner], index)
    _refuse_other_root(_chain_border(computed, proof[inner:]), root, "the inclusion proof")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the new tree begins with the old one; raises NotVerified or Malformed. Size 0 proves nothing: refused."""
    if not 0 < old <= new <= LARGEST_TREE:
        raise Malformed(f"no consistency proof leads from {old} to {new} leaves")
    _climb(_Path.of(0, old, new), old_root, new_root, proof)


def verify_subtree_inclusion(
    index: int, start: int, end: int, leaf: bytes, proof: Sequence[bytes], subtree: bytes
) -> None:
    """Check that `leaf`, a leaf hash, is leaf `index` of the log and in the subtree of its leaves [start, end).

    Raises NotVerified or Malformed.
    """
    _refuse_no_subtree(start, end)
    if not start <= index < end:
        raise Malformed(f"leaf {index} is not in the subtree of the leaves {start} to {end}")
    verify_inclusion(index - start, end - start, leaf, proof, subtree)


def verify_subtree_consistency(
    start: int, end: int, size: int, subtree: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the subtree of the leaves [start, end) is part of the tree of `size` leaves; raises NotVerified or Malformed.

    The subtree of no leaves has the hash of the empty tree and needs no proof (draft-ietf-plants-merkle-tree-certs section 4.4).
    """
    _refuse_no_subtree(start, end)
    if end > size:
        raise Malformed(f"the subtree of the leaves {start} to {end} is not in a tree of {size} leaves")
    if start == end:
        _refuse_other_length(proof, 0)
        return _refuse_other_root(EMPTY_ROOT, subtree, "the empty subtree")
    return _climb(_Path.of(start, end, size), subtree, root, proof)


class _Side(Enum):
    """Where the sibling on the way from a subtree up to the root stands, and whether it is part of the subtree, too."""

    RIGHT = 0
    LEFT = 1
    INSIDE = 2


@dataclass(frozen=True, slots=True)
class _Path:
    """The way from where a subtree and its tree part up to the root. `whole`: they part at the subtree's own root."""

    sides: tuple[_Side, ...]
    whole: bool

    @classmethod
    def of(cls, start: int, end: int, size: int) -> "_Path":
        """Walk down from the root; each step halves what is left, so there are at most 64."""
        sides, whole = [], True
        while (start, end) != (0, size):
            split = 1 << ((size - 1).bit_length() - 1)
            if end <= split:
                sides.append(_Side.RIGHT)
                size = split
                continue
            inside = start < split  # then the subtree starts at 0, and the left half is part of it
            sides.append(_Side.INSIDE if inside else _Side.LEFT)
            whole = whole and not inside
            start, end, size = max(start - split, 0), end - split, size - split
        return cls(tuple(reversed(sides)), whole)


def _climb(path: _Path, subtree: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    _refuse_other_length(proof, len(path.sides) + (not path.whole))
    if not path.sides:
        return _refuse_other_root(subtree, root, "the smaller tree")
    lower = upper = _hash_of_right_size(subtree) if path.whole else proof[0]
    for side, sibling in zip(path.sides, proof[0 if path.whole else 1 :], strict=True):
        upper = node_hash(upper, sibling) if side is _Side.RIGHT else node_hash(sibling, upper)
        lower = node_hash(sibling, lower) if side is _Side.INSIDE else lower
    _refuse_other_root(lower, subtree, "the proof of the smaller tree")
    return _refuse_other_root(upper, root, "the consistency proof")


def _refuse_no_subtree(start: int, end: int) -> None:
    """Refuse what is no subtree: its start is a multiple of the smallest power of two that is not below its length."""
    if not 0 <= start <= end <= LARGEST_TREE:
        raise Malformed(f"no subtree has the leaves {start} to {end}")
    if start & ((1 << (end - start - 1).bit_length()) - 1 if end > start else 0):
        raise Malformed(f"a subtree of {end - start} leaves cannot start at leaf {start}")


def _proof_shape(index: int, size: int) -> tuple[int, int]:
    """Return how many hashes lie below the point where the paths to `index` and to the last leaf meet, and above it."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _chain_inner(seed: bytes, proof: Sequence[bytes], index: int) -> bytes:
    for level, sibling in enumerate(proof):
        seed = node_hash(sibling, seed) if index >> level & 1 else node_hash(seed, sibling)
    return seed


def _chain_border(seed: bytes, proof: Sequence[bytes]) -> bytes:
    for sibling in proof:
        seed = node_hash(sibling, seed)
    return seed


def _hash_of_right_size(value: bytes) -> bytes:
    if len(value) != HASH_SIZE:
        raise Malformed(f"a hash has {HASH_SIZE} bytes, not {len(value)}")
    return value


def _refuse_other_length(proof: Sequence[bytes], length: int) -> None:
    if len(proof) != length:
        raise NotVerified(f"the proof needs {length} hashes and has {len(proof)}")
    for part in proof:
        _hash_of_right_size(part)


def _refuse_other_root(computed: bytes, claimed: bytes, what: str) -> None:
    if computed != claimed:
        raise NotVerified(f"{what} leads to another root")
