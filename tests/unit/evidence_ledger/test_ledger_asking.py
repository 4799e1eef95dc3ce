"""What is asked: forms of questions, and the acts that they become."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tierproof_contracts.audit import ExportEntriesAsked, HistoryAsked
from tierproof_contracts.questions import ProofAsked, SearchAsked, StoryAsked, VerifyAsked
from tierproof_evidence_ledger.acts import QUERIED, Act, act_entry
from tierproof_evidence_ledger.canonical import LARGEST_ENTRY
from tierproof_evidence_ledger.questions import deed

NOON = "2026-11-01T12:00:00.000000Z"
LONGEST = "\U0001f600" * 500


@pytest.mark.requirement("LED-query")
@given(st.text(max_size=600), st.text(max_size=600))
def test_every_question_that_is_taken_can_be_recorded(actor: str, reason: str) -> None:
    try:
        question = SearchAsked.model_validate_json(json.dumps({"actor": actor, "reason": reason}))
    except ValidationError:
        assert not 1 <= min(len(actor), len(reason)) <= max(len(actor), len(reason)) <= 500 or any(
            character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in actor + reason
        )
        return
    entry = json.loads(act_entry(Act(type=QUERIED, data=deed(question, "auditor")), NOON))
    said = entry["event"]["data"]
    assert (said["actor"], said["question"], said["reason"]) == ("auditor", "search", reason)
    assert said["asked"]["actor"] == actor


def test_the_longest_question_fits_into_an_entry() -> None:
    question = ExportEntriesAsked(event_type=LONGEST, actor=LONGEST, reason=LONGEST, since=NOON, as_of=2**53 - 1)
    assert len(act_entry(Act(type=QUERIED, data=deed(question, "auditor")), NOON)) < LARGEST_ENTRY


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (VerifyAsked(), {}),
        (ProofAsked(index=3), {"index": 3}),
        (HistoryAsked(record="log-key"), {"record": "log-key", "limit": 100}),
        (StoryAsked(task_id=f"acme_{'0' * 32}", as_of=7, reason="r"), {"task_id": f"acme_{'0' * 32}", "as_of": 7}),
    ],
)
def test_an_act_holds_what_was_asked_and_the_reason_beside_it(question: Any, asked: dict[str, Any]) -> None:
    said = deed(question, "auditor")
    assert said["asked"] == asked
    assert ("reason" in said) == (question.reason is not None)


@pytest.mark.parametrize(
    ("since", "until", "fits"),
    [
        ("2026-11-01T12:00:00Z", "2026-11-01T12:00:00.5Z", True),
        ("2026-11-01T12:00:00.05Z", "2026-11-01T12:00:00.5Z", True),
        ("2026-11-01T12:00:00.5Z", "2026-11-01T12:00:00.50Z", False),
        ("2026-11-01T12:00:00.5Z", "2026-11-01T12:00:00Z", False),
    ],
)
def test_times_are_compared_and_not_their_digits(since: str, until: str, fits: bool) -> None:  # noqa: FBT001
    try:
        SearchAsked(since=since, until=until)
    except ValidationError:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize(
    "record", ["document:secrets", "task:x", "model:sha256:0", "texts:", "texts:A B", "log-key:", "", "log-key\n"]
)
def test_a_record_that_there_is_none_of_is_refused_with_those_that_there_are(record: str) -> None:
    with pytest.raises(ValidationError, match="document:routing-policy"):
        HistoryAsked(record=record)


def test_the_conditions_are_what_a_pack_calls_its_selection() -> None:
    question = ExportEntriesAsked(tenant="acme", since=NOON, as_of=7, export=3, size=9, after=1, reason="r", limit=4)
    assert question.filters() == {"tenant": "acme", "since": NOON}
