"""From entries alone: positions, outcomes, outbox, acts, tiles and checkpoints, however the entries are parted into batches."""

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_evidence_ledger.acts import ROTATED, Act, act_entry
from tierproof_evidence_ledger.batch import IngestKey
from tierproof_evidence_ledger.canonical import Unreadable, entry_of, release_entry
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.pens import Pens
from tierproof_evidence_ledger.rebuild import batch_of, foretold, parts
from tierproof_evidence_ledger.testing import answered_task
from tierproof_evidence_ledger.testing_streams import EPOCH, NOON, Streams
from tierproof_evidence_ledger.tree import Tile, Tree
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import Frontier, leaf_hash, root_of
from tierproof_proofs.note import NoteSigner

SIGNER = NoteSigner(name="example.org/log", signer=Ed25519Signer.from_seed(bytes(32)))
PENS = Pens(signers=(SIGNER,), keys=(LogKey(key=SIGNER.verifier_key),))
KEY = "7b7c4b0e-0000-4000-8000-000000000001"
ERASURE = Act(
    type="ledger.erased.v1",
    data={"tenant": "acme", "reason": "asked", "actor": "eve", "keys": [KEY]},
    done_at="2026-11-01T12:10:00.000000Z",
    in_database=True,
)
RELEASE = {
    "id": "7b7c4b0e-0000-4000-8000-000000000002",
    "type": "result.released.v1",
    "time": NOON,
    "data": {
        "task_id": "acme_1",
        "tenant": "acme",
        "outcome": {"status": "answered"},
        "decision": {"event_id": KEY, "digest": "sha256:00"},
        "ledger": {"log": "example.org/log", "index": 0, "size": 1},
    },
}
SWEPT: dict[str, Any] = {**RELEASE, "data": {"task_id": "acme_2", "tenant": "acme", "outcome": {"status": "failed"}}}


def _entries(stories: int = 3) -> list[bytes]:
    streams = Streams()
    told = [event for number in range(stories) for event in answered_task(number).events]
    messages = [(message, "event") for message in streams.deliver(told)]
    messages.append((replace(messages[0][0], sequence=90), "conflict"))
    messages.append((replace(messages[1][0], sequence=91, content=b"{"), "rejected"))
    entries = [
        entry_of(message, message.read() if kind != "rejected" else Unreadable(reason="x"), kind, NOON)  # type: ignore[arg-type]
        for message, kind in messages
    ]
    return [
        *entries,
        release_entry(RELEASE, None, NOON),
        release_entry(SWEPT, None, NOON),
        act_entry(ERASURE, NOON),
        act_entry(Act(type="ledger.queried.v1", data={"question": "x"}), NOON),
    ]


ENTRIES = _entries()


def test_what_stood_beside_the_entries_follows_from_them() -> None:
    batch, tree = batch_of(0, ENTRIES, Tree(Frontier()), PENS)
    size = len(ENTRIES)
    assert batch.entries == ENTRIES
    assert (tree.size, tree.frontier.root()) == (size, root_of(map(leaf_hash, ENTRIES)))
    said = [orjson.loads(entry) for entry in ENTRIES]
    events = [seq for seq, entry in enumerate(said) if entry["kind"] == "event"]
    recorded = [key for key in batch.keys if key.disposition == "recorded"]
    assert [(key.seq, key.event_id) for key in recorded] == [(seq, said[seq]["event"]["id"]) for seq in events]
    assert {key.stream for key in batch.keys} == {(entry["stream"], EPOCH) for entry in said if "stream" in entry}
    rest = [(key.disposition, key.stream_seq, key.event_id) for key in batch.keys if key.disposition != "recorded"]
    assert rest == [("conflict", 90, None), ("rejected", 91, None)]
    outcomes = [(each.task_id, each.seq, each.status, each.decision) for each in batch.outcomes]
    assert outcomes == [("acme_1", size - 4, "answered", KEY), ("acme_2", size - 3, "failed", None)]
    assert batch.outbox == [("release", size - 4), ("release", size - 3)]
    assert batch.database_acts == [(ERASURE.act_id, size - 2)], (
        "an act of the ledger itself left no row in the database"
    )
    assert batch.acts[ERASURE.act_id] == size - 2
    assert batch.checkpoint is not None
    checkpoint = open_checkpoint(batch.checkpoint[1].encode(), PENS.keys)
    assert (checkpoint.size, checkpoint.root) == (size, tree.frontier.root())


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 50))
def test_however_they_are_parted_the_rows_and_the_root_are_the_same(ends: list[int], most: int) -> None:
    entries = ENTRIES * 12  # more than one tile
    whole, tree = batch_of(0, entries, Tree(Frontier()), PENS)
    grown, at = Tree(Frontier()), 0
    keys: list[IngestKey] = []
    tiles: list[Tile] = []
    for first, last in parts(0, len(entries), most, ends):
        assert (first, 0 < last - first <= most) == (at, True)
        batch, grown = batch_of(first, entries[first:last], grown, PENS)
        keys, tiles, at = keys + batch.keys, tiles + batch.tiles, last
    assert (keys, tiles, grown.frontier.hashes) == (whole.keys, whole.tiles, tree.frontier.hashes)
    assert at == len(entries)


@given(st.integers(0, 1000), st.integers(0, 300), st.integers(1, 64), st.lists(st.integers(0, 1500)))
def test_a_batch_ends_wherever_one_must(first: int, count: int, most: int, ends: list[int]) -> None:
    found = list(parts(first, first + count, most, ends))
    assert [seq for part in found for seq in range(*part)] == list(range(first, first + count))
    lasts = {last for _, last in found}
    assert {end for end in ends if first < end < first + count} <= lasts


def test_erasures_and_rotations_are_known_before_anything_is_put_back() -> None:
    rotation = act_entry(Act(type=ROTATED, data={"old": "a", "key": "b", "from": 1, "until_old": 2}), NOON)
    ahead = foretold(100, [*ENTRIES, rotation])
    assert [event["id"] for event in ahead.deeds] == [str(ERASURE.act_id)]
    assert ahead.turns == [100 + len(ENTRIES) + 1]
    assert ahead.rotations[0]["key"] == "b"
    assert ahead.erased_since("acme", "2026-11-01T12:09:59.000000Z") == uuid.UUID(KEY)
    assert ahead.erased_since("acme", "2026-11-01T12:10:01.000000Z") is None, "sealed under a new key"
    assert ahead.erased_since("globex", "2026-11-01T12:00:00.000000Z") is None


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (b"{", "is no entry"),
        (b"[]", "is no entry"),
        (b"{}", "is no entry"),
        (b'{"kind":"unheard"}', "does not have an entry's form"),
        (b'{"kind":"event"}', "does not have an entry's form"),
        (b'{"kind":"act","event":{"id":"x","type":"y"}}', "does not have an entry's form"),
    ],
)
def test_what_is_no_entry_is_refused_by_its_number(entry: bytes, said: str) -> None:
    with pytest.raises(Corrupted, match=f"entry 8 of the mirror {said}"):
        batch_of(7, [ENTRIES[0], entry], Tree(Frontier()), PENS)
