"""The tree verifiers agree with the transparency-dev vectors (TIERPROOF_VECTORS/merkle)."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tierproof_proofs import merkle
from tierproof_proofs.errors import ProofError

pytestmark = pytest.mark.requirement("LED-proof")
ACCEPTED, CASES = 6, 98


def _cases(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]
    assert len(found) == CASES
    assert sum(not case["wantErr"] for case in found) == ACCEPTED
    return found


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _proof(case: dict[str, Any]) -> list[bytes]:
    return [_bytes(part) for part in case["proof"] or []]


def _refused(verify: Any, *arguments: Any) -> bool:
    try:
        verify(*arguments)
    except ProofError:
        return True
    return False


def test_inclusion_agrees_on_all_98(vectors: Path) -> None:
    for case in _cases(vectors / "merkle/inclusion"):
        claim = (case["leafIdx"], case["treeSize"], _bytes(case["leafHash"]), _proof(case), _bytes(case["root"]))
        assert _refused(merkle.verify_inclusion, *claim) == case["wantErr"], case["desc"]


def test_consistency_agrees_on_all_98(vectors: Path) -> None:
    for case in _cases(vectors / "merkle/consistency"):
        claim = (case["size1"], case["size2"], _bytes(case["root1"]), _bytes(case["root2"]), _proof(case))
        assert _refused(merkle.verify_consistency, *claim) == case["wantErr"], case["desc"]


def test_reference_tree_has_the_published_hashes(vectors: Path) -> None:
    tree = json.loads((vectors / "merkle/reference-tree.json").read_text())
    leaves = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in tree["leaf_inputs"]]
    assert (len(leaves), len(tree["root_hashes_by_size"]), len(tree["compact_range_by_size"])) == (8, 9, 9)
    levels = tree["node_hashes_by_level"]
    assert [len(level) for level in levels] == [8, 4, 2, 1]
    for height, level in enumerate(levels):
        parts = [leaves[place << height : (place + 1) << height] for place in range(len(level))]
        assert [merkle.root_of(part).hex() for part in parts] == level
    for size, (root, compact) in enumerate(
        zip(tree["root_hashes_by_size"], tree["compact_range_by_size"], strict=True)
    ):
        frontier = merkle.Frontier()
        for leaf in leaves[:size]:
            frontier.append(leaf)
        assert frontier.root().hex() == root
        assert [part.hex() for part in frontier.hashes] == compact


def test_hasher_has_the_published_hashes(vectors: Path) -> None:
    hasher = json.loads((vectors / "merkle/reference-tree.json").read_text())["hasher"]
    assert [case["what"] for case in hasher] == ["empty root", "leaf", "leaf", "node"]
    hash_with: dict[str, Callable[..., bytes]] = {
        "empty root": lambda: merkle.EMPTY_ROOT,
        "leaf": merkle.leaf_hash,
        "node": merkle.node_hash,
    }
    for case in hasher:
        assert hash_with[case["what"]](*map(bytes.fromhex, case["input"])).hex() == case["hash"]


def _subtree_cases(folder: Path, count: int, accepted: int) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]
    assert (len(found), sum(not case["wantErr"] for case in found)) == (count, accepted)
    return found


def test_subtree_inclusion_agrees_on_all_204(vectors: Path) -> None:
    for case in _subtree_cases(vectors / "merkle/subtreeinclusion", 204, 12):
        place = (case["leafIdx"], case["start"], case["end"])
        claim = (*place, _bytes(case["leafHash"]), _proof(case), _bytes(case["root"]))
        assert _refused(merkle.verify_subtree_inclusion, *claim) == case["wantErr"], (case["desc"], place)


def test_subtree_consistency_agrees_on_all_118(vectors: Path) -> None:
    for case in _subtree_cases(vectors / "merkle/subtreeconsistency", 118, 12):
        place = (case["start"], case["end"], case["size"])
        claim = (*place, _bytes(case["root1"]), _bytes(case["root2"]), _proof(case))
        assert _refused(merkle.verify_subtree_consistency, *claim) == case["wantErr"], (case["desc"], place)
