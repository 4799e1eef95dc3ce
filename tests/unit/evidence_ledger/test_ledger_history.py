"""Histories, folded from rows as the views give them."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_evidence_ledger import history

NAMES = st.sampled_from(["a", "b", "c", "kinds", "tiers"])
LEAVES = st.one_of(
    st.integers(-3, 3), st.text("xyz", max_size=2), st.booleans(), st.lists(st.integers(0, 2), max_size=2)
)
VALUES = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MODEL = "sha256:" + "1" * 64


def row(seq: int, event_type: str, kind: str = "event", actor: str = "ada", **data: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "kind": kind,
        "event_type": event_type,
        "actor": actor,
        "occurred_at": NOON,
        "recorded_at": NOON,
        "entry": {"event": {"type": event_type, "data": data}},
    }


def document(seq: int, name: str, content: Any, digest: str = "d") -> dict[str, Any]:
    payload = base64.b64encode(json.dumps(content).encode()).decode()
    envelope = {"payload": payload, "signatures": [{"keyid": "author", "sig": ""}]}
    return row(seq, "policy.published.v1", actor="registry", name=name, digest=digest, envelope=envelope)


def same(old: Any, new: Any) -> bool:
    """Tell whether two JSON values are one: true is not 1."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


@pytest.mark.requirement("LED-append")
@given(DOCUMENTS, DOCUMENTS)
def test_the_changes_of_a_document_lead_from_the_old_to_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    made = json.loads(json.dumps(old))
    for change in history.differences(old, new):
        *path, last = change.member.split(".")
        place = made
        for name in path:
            place = place[name]
        assert same(place.get(last), change.old)
        assert not same(change.old, change.new)
        if change.new is None:
            del place[last]
        else:
            place[last] = change.new
    assert same(made, new)


def test_nothing_changed_is_no_change() -> None:
    assert list(history.differences({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}})) == []
    assert len(list(history.differences({"a": 1, "b": [0]}, {"a": True, "b": [False]}))) == 2


def test_a_document_that_cannot_be_read_is_an_empty_one() -> None:
    broken = document(1, "reviewers", {})
    broken["entry"]["event"]["data"]["envelope"]["payload"] = "%%%"
    (first,) = history.documents(iter([broken]))
    assert (first.new, first.changes, first.signed_by) == ("d", (), ("author",))


@pytest.mark.requirement("LED-append")
def test_a_model_is_listed_withdrawn_and_revoked_for_good() -> None:
    told = [
        document(1, "fleet-manifest", {"tiers": {}}),
        document(2, "fleet-manifest", {"tiers": {"s": {"weights": MODEL}}}),
        document(3, "fleet-manifest", {"tiers": {"s": {"weights": MODEL, "note": "x"}}}),
        document(4, "fleet-manifest", {"tiers": {}}),
        document(5, "fleet-manifest", {"adapters": [MODEL]}),
        row(6, "model.revoked.v1", digest=MODEL, reason="unsafe", revoked_by="grace"),
        document(7, "fleet-manifest", {"tiers": {}}),
    ]
    assert [(line.index, line.old, line.new) for line in history.standings(told, MODEL)] == [
        (2, "not listed", "in good standing"),
        (4, "in good standing", "not listed"),
        (5, "not listed", "in good standing"),
        (6, "in good standing", "revoked"),
    ]
    (only,) = history.standings(told[5:6], MODEL)
    assert (only.old, only.new, only.who, only.why) == ("in good standing", "revoked", "grace", "unsafe")


@pytest.mark.requirement("LED-append")
def test_texts_are_held_until_every_hold_is_lifted() -> None:
    told = [
        row(1, "ledger.held.v1", "act", tenant="acme", hold="1", reason="a"),
        row(2, "ledger.held.v1", "act", tenant="acme", hold="2", reason="b"),
        row(3, "ledger.unheld.v1", "act", tenant="acme", hold="1", reason="c"),
        row(4, "ledger.unheld.v1", "act", tenant="acme", hold="2", reason="d"),
        row(5, "ledger.erased.v1", "act", tenant="acme", keys=["k"], reason="e"),
        row(6, "ledger.held.v1", "act", tenant="acme", hold="3", reason="f"),
    ]
    states = ["readable", "held (1)", "held (2)", "held (1)", "not held", "erased (1 keys)", "held (1)"]
    lines = list(history.keepings(told))
    assert [line.new for line in lines] == states[1:]
    assert [line.old for line in lines] == states[:-1]


def test_a_task_changes_state_by_its_events_alone() -> None:
    told = [
        row(1, "task.submitted.v1"),
        row(2, "task.accepted.v1", kind="conflict"),
        row(3, "task.accepted.v1"),
        row(4, "verification.settled.v1", verdict={"status": "failed"}),
        row(5, "verification.settled.v1", verdict={"status": "failed"}),
        row(6, "review.decided.v1", verdict="reject", reason="wrong", signer="ada"),
        row(7, "something.new.v1"),
    ]
    lines = list(history.states(told))
    assert [(line.index, line.new) for line in lines] == [
        (1, "submitted"),
        (3, "accepted"),
        (4, "checks failed"),
        (6, "a person's word: reject"),
        (7, "something.new.v1"),
    ]
    assert lines[3].why == "wrong"
    rejected = {**row(1, "x", kind="rejected"), "event_type": None, "occurred_at": None, "actor": None}
    rejected["entry"] = {"reason": "not JSON"}
    (line,) = history.states([rejected])
    assert (line.new, line.why, line.who, line.type) == ("submitted unreadably", "not JSON", "", "rejected")
