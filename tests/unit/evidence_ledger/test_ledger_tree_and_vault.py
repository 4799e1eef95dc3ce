"""The tree comes back from its tiles, texts come back from the vault, and neither from anything else."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts.text import commitment_to
from tierproof_evidence_ledger.canonical import CarriedText
from tierproof_evidence_ledger.desk import Desk, Patience
from tierproof_evidence_ledger.errors import Corrupted, NotConfigured, TextUnreadable
from tierproof_evidence_ledger.pull import position_of
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.tree import TILE_WIDTH, Tree, hashes_of, node_reader, rebuilt
from tierproof_proofs.merkle import Frontier, inclusion_proof, leaf_hash, root_of, verify_inclusion

LEAVES = [leaf_hash(b"%d" % number) for number in range(2 * TILE_WIDTH**2 + 300)]


def _grown(sizes: list[int]) -> tuple[Tree, dict[tuple[int, int], bytes]]:
    tree, tiles, start = Tree(Frontier()), {}, 0
    for size in sizes:
        tree, filled = tree.grown(LEAVES[start : start + size])
        tiles.update({(tile.level, tile.n): tile.hashes for tile in filled})
        start += size
    return tree, tiles


@given(st.lists(st.integers(0, 700), max_size=5))
def test_a_tree_comes_back_from_tiles_and_its_newest_leaves(sizes: list[int]) -> None:
    tree, tiles = _grown(sizes)
    edge = LEAVES[tree.size - tree.size % TILE_WIDTH : tree.size]
    again = rebuilt(tree.size, lambda level, n: tiles[level, n], edge)
    assert again.frontier.root() == tree.frontier.root() == root_of(LEAVES[: tree.size])
    more = LEAVES[tree.size : tree.size + 300]
    grown_again, tiles_again = again.grown(more)
    grown, filled = tree.grown(more)
    assert (grown_again.frontier.hashes, tiles_again) == (grown.frontier.hashes, filled)


def test_a_tree_of_two_levels_of_tiles_comes_back_and_proves() -> None:
    tree, tiles = _grown([TILE_WIDTH**2 + 7 * TILE_WIDTH, 13])
    assert {level for level, _ in tiles} == {0, 1}
    edge = LEAVES[tree.size - 13 : tree.size]
    again = rebuilt(tree.size, lambda level, n: tiles[level, n], edge)
    assert again.frontier.root() == tree.frontier.root() == root_of(LEAVES[: tree.size])

    def hashes_at(level: int, first: int, count: int) -> list[bytes]:
        n, within = divmod(first, TILE_WIDTH)
        if (level, n) in tiles:
            return hashes_of(tiles[level, n])[within : within + count]
        if level == 0:
            return LEAVES[first : first + count]
        return [root_of(hashes_at(level - 1, part * TILE_WIDTH, TILE_WIDTH)) for part in range(first, first + count)]

    for index in (0, 255, 256, TILE_WIDTH**2, tree.size - 1):
        proof = inclusion_proof(index, tree.size, node_reader(hashes_at))
        verify_inclusion(index, tree.size, LEAVES[index], proof, tree.frontier.root())


def test_a_tree_with_too_few_leaves_is_refused() -> None:
    with pytest.raises(Corrupted):
        rebuilt(3, lambda _level, _n: b"", LEAVES[:2])


def _carried(words: str) -> CarriedText:
    salt = "5a" * 16
    return CarriedText(commitment=commitment_to(words, salt), text=words, salt=salt)


@given(st.text())
def test_a_sealed_text_comes_back(words: str) -> None:
    vault = Vault(bytes(32))
    key = vault.new_key("acme")
    (sealed,) = vault.seal([("acme_1", _carried(words))], key)
    assert Vault(bytes(32)).open(sealed, key).text == words
    assert not words or words.encode() not in sealed.ciphertext or len(words) < 4


def test_a_text_does_not_open_under_another_key_or_name() -> None:
    vault, other = Vault(bytes(32)), Vault(b"1" * 32)
    key, foreign = vault.new_key("acme"), vault.new_key("globex")
    (sealed,) = vault.seal([("acme_1", _carried("words"))], key)
    renamed = replace(sealed, commitment=_carried("other").commitment)
    moved = replace(sealed, task_id="acme_2")
    attempts = ((vault, sealed, foreign), (other, sealed, key), (vault, renamed, key), (vault, moved, key))
    for opener, text, with_key in attempts:
        with pytest.raises(TextUnreadable):
            opener.open(text, with_key)


def test_the_vaults_key_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "texts.key"
    Vault.at(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(NotConfigured, match="chmod"):
        Vault.at(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(NotConfigured, match="32 bytes"):
        Vault.at(path)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.TASK.evidence-ledger--task.1.42.7.1762000000123456789.3",
        "$JS.ACK._.hash.TASK.evidence-ledger--task.1.42.7.1762000000123456789.3.token",
    ],
)
def test_a_position_is_read_from_either_form_of_reply(reply: str) -> None:
    assert position_of(reply) == (42, 7, "2025-11-01T12:26:40.123456789Z")


@pytest.mark.parametrize("deadline", ["2026-02-31T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_strange_deadline_harms_nobody(deadline: str) -> None:
    desk = Desk(signers={}, patience=Patience(grace=timedelta(days=1), undated=timedelta(hours=1)))
    task_id = "acme_" + "0" * 32
    event = {
        "id": "00000000-0000-4000-8000-000000000000",
        "type": "task.accepted.v1",
        "data": {"task_id": task_id, "deadline": deadline, "policy": "p"},
    }
    desk.learn(0, {"kind": "event", "received_at": "2026-11-01T12:00:00Z", "event": event})
    assert isinstance(desk.overdue(datetime(2026, 11, 1, 13, tzinfo=UTC)), list)
