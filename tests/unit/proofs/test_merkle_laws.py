"""Laws of the tree: what is built verifies, what is altered does not, and no claim costs more than its proof is long."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_proofs import merkle
from tierproof_proofs.errors import Malformed, NotVerified, ProofError

pytestmark = pytest.mark.requirement("LED-proof")


def _leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"leaf %d" % number) for number in range(count)]


def _node(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    return lambda level, index: merkle.root_of(leaves[index << level : (index + 1) << level])


def _root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 as it is written: the recursive definition, which the product does not use."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(_root_by_definition(leaves[:split]), _root_by_definition(leaves[split:]))


def test_root_is_the_recursive_definition_at_every_size_up_to_260() -> None:
    leaves = _leaves(260)
    frontier = merkle.Frontier()
    for size in range(261):
        assert frontier.root() == _root_by_definition(leaves[:size])
        assert merkle.Frontier(size, frontier.hashes).root() == frontier.root()
        if size < 260:
            frontier.append(leaves[size])


def test_every_inclusion_and_consistency_proof_up_to_33_leaves_verifies() -> None:
    leaves = _leaves(33)
    for size in range(1, 34):
        node, root = _node(leaves[:size]), merkle.root_of(leaves[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, node)
            merkle.verify_inclusion(index, size, leaves[index], proof, root)
        for old in range(1, size + 1):
            proof = merkle.consistency_proof(old, size, node)
            merkle.verify_consistency(old, size, merkle.root_of(leaves[:old]), root, proof)


@given(st.integers(1, 300), st.data())
def test_an_altered_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = _leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, _node(leaves))
    other = data.draw(st.integers(0, size - 1).filter(lambda place: place != index)) if size > 1 else index + 1
    with pytest.raises(ProofError):
        merkle.verify_inclusion(other, size, leaves[index], proof, merkle.root_of(leaves))
    for place in range(len(proof)):
        bent = [bytes(32) if at == place else part for at, part in enumerate(proof)]
        with pytest.raises(NotVerified):
            merkle.verify_inclusion(index, size, leaves[index], bent, merkle.root_of(leaves))


@given(
    st.integers(-1, 2**65),
    st.integers(-1, 2**65),
    st.lists(st.binary(min_size=31, max_size=32), max_size=70),
)
def test_any_claim_is_refused_by_name_and_at_once(left: int, right: int, proof: list[bytes]) -> None:
    with pytest.raises(ProofError):
        merkle.verify_inclusion(left, right, bytes(32), proof, b"x" * 32)
    with pytest.raises(ProofError):
        merkle.verify_consistency(left, right, bytes(32), b"x" * 32, proof)


@given(st.lists(st.integers(0, 4), max_size=40))
def test_whole_subtrees_give_the_same_frontier_as_their_leaves(levels: list[int]) -> None:
    leaves = _leaves(700)
    by_leaf, by_subtree = merkle.Frontier(), merkle.Frontier()
    for level in levels:
        if by_leaf.size % (1 << level):
            with pytest.raises(Malformed):
                by_subtree.copy().extend_by(bytes(32), level)
            continue
        part = leaves[by_leaf.size : by_leaf.size + (1 << level)]
        by_subtree.extend_by(merkle.root_of(part), level)
        for leaf in part:
            by_leaf.append(leaf)
    assert (by_leaf.size, by_leaf.hashes) == (by_subtree.size, by_subtree.hashes)


def test_a_frontier_refuses_hashes_that_do_not_fit_its_size() -> None:
    with pytest.raises(Malformed, match="3 leaves has 2 subtrees, not 1"):
        merkle.Frontier(3, [bytes(32)])


def _subtree_proof(start: int, end: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """draft-ietf-plants-merkle-tree-certs section 4.4.1 as it is written: the recursion, which the product does not use."""
    size = len(leaves)
    if (start, end) == (0, size):
        return [] if whole else [merkle.root_of(leaves)]
    split = 1 << ((size - 1).bit_length() - 1)
    left, right = leaves[:split], leaves[split:]
    if end <= split:
        return [*_subtree_proof(start, end, left, whole=whole), merkle.root_of(right)]
    inside = start < split
    rest = _subtree_proof(max(start - split, 0), end - split, right, whole=whole and not inside)
    return [*rest, merkle.root_of(left)]


def _subtrees(size: int) -> list[tuple[int, int]]:
    places = [(start, end) for start in range(size) for end in range(start + 1, size + 1)]
    return [(start, end) for start, end in places if start % (1 << (end - start - 1).bit_length()) == 0]


def test_every_subtree_up_to_33_leaves_is_proven_and_no_other_one() -> None:
    leaves = _leaves(33)
    for size in range(1, 34):
        root = merkle.root_of(leaves[:size])
        for start, end in _subtrees(size):
            proof = _subtree_proof(start, end, leaves[:size])
            subtree = merkle.root_of(leaves[start:end])
            merkle.verify_subtree_consistency(start, end, size, subtree, root, proof)
            with pytest.raises(ProofError):
                merkle.verify_subtree_consistency(start, end, size, bytes(32), root, proof)
            with pytest.raises(ProofError):
                merkle.verify_subtree_consistency(start, end, size, subtree, bytes(32), proof)
            if start == 0:
                assert proof == merkle.consistency_proof(end, size, _node(leaves[:size]))


@pytest.mark.parametrize(("start", "end"), [(1, 3), (2, 5), (4, 9), (3, 2), (-1, 0), (8, 2**64)])
def test_leaves_that_are_no_subtree_are_refused(start: int, end: int) -> None:
    with pytest.raises(Malformed):
        merkle.verify_subtree_consistency(start, end, 2**64 - 1, bytes(32), bytes(32), [])
    with pytest.raises(Malformed):
        merkle.verify_subtree_inclusion(start, start, end, bytes(32), [], bytes(32))
