"""From bytes to entries: canonical, without texts, and never an exception."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts import subjects
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.envelope import data_digest
from tierproof_contracts.text import Text
from tierproof_evidence_ledger import canonical as forms
from tierproof_evidence_ledger.testing import Story, answered_task, enveloped, text
from tierproof_evidence_ledger.testing_streams import Streams

STORY = answered_task(1, safety_class="C")
SUBMITTED = STORY["task.submitted.v1"]
CANARY = "canary-5d1f"
LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(max_codepoint=127, exclude_characters="\x00"), max_size=5), inner, max_size=4
        )
    ),
)


def _message(content: bytes, subject: str = SUBMITTED.data.subject()) -> forms.Delivered:
    return Streams().message(subject, content)


def _changed(**members: Any) -> bytes:
    return json.dumps(json.loads(SUBMITTED.to_bytes()) | members).encode()


def _changed_data(**members: Any) -> bytes:
    return _changed(data=json.loads(SUBMITTED.to_bytes())["data"] | members)


@pytest.mark.parametrize("event", STORY.events, ids=lambda event: event.type)
def test_an_events_digest_is_the_one_that_citations_name(event: Any) -> None:
    (message,) = Streams().deliver([event])
    said = forms.read(message)
    assert isinstance(said, forms.Said), said
    assert said.digest == event.citation().digest == data_digest(json.loads(event.to_bytes()))


@pytest.mark.parametrize("event", STORY.events, ids=lambda event: event.type)
def test_entries_are_canonical_and_hold_no_text(event: Any) -> None:
    (message,) = Streams().deliver([event])
    reading = forms.read(message)
    assert isinstance(reading, forms.Said)
    entry = forms.entry_of(message, reading, "event", "2026-11-01T12:00:01.000000Z")
    assert canonical_json(json.loads(entry)) == entry
    for carried in reading.texts:
        assert carried.text.encode() not in entry
        assert carried.salt.encode() not in entry


@given(VALUES)
def test_the_fast_canonical_form_is_the_contracts_one(value: Any) -> None:
    wrapped = {"value": value}
    try:
        sealed = forms.sealed_value(wrapped, {})
        expected = canonical_json(sealed)
    except forms._Refused:
        return
    assert forms.canonical(sealed) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(content: bytes) -> None:
    message = _message(content)
    reading = forms.read(message)
    assert isinstance(reading, forms.Unreadable)
    entry = json.loads(forms.entry_of(message, reading, "rejected", "2026-11-01T12:00:01.000000Z"))
    assert entry["task_id"] == STORY.task_id


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (SUBMITTED.to_bytes()[:-1] + b', "type": "task.submitted.v1"}', "twice"),
        (_changed(type="task.submitted.v9"), "not known"),
        (_changed(type=["task.submitted.v1"]), "not known"),
        (_changed(type="result.released.v1"), "not for the ledger"),
        (_changed(id="not an id"), "id: string_pattern_mismatch"),
        (_changed(time="2026-02-31T00:00:00Z"), ""),
        (_changed(extra=1.5), "float"),
        (_changed(extra=2**53), "2^53"),
        (_changed(extra={"ä": 1}), "ASCII"),
        (_changed(extra="\x00"), "NUL"),
        (_changed(extra={"\x00": 1}), "NUL"),
        (_changed(extra="\ud800"), ""),
        (_changed(extra=json.loads("[" * 70 + '{"a": 1}' + "]" * 70)), "nested"),
        (_changed_data(task_id="globex_" + "0" * 32), "data"),
        (_changed_data(prompt={"text": CANARY}), "data.prompt.salt: missing"),
        (_changed_data(note={"text": CANARY}), "without its salt"),
        (_changed_data(note={"salt": CANARY}), "without its salt"),
        (_changed_data(note={"text": CANARY, "salt": 7}), "without its salt"),
        (_changed_data(note={"text": CANARY, "salt": "zz"}), "without its salt"),
        (_changed_data(time_allowed_ms="500"), "time_allowed_ms: int_type"),
        (_changed_data(inputs={CANARY + " as a key": text("x").model_dump()}), "data.inputs.?"),
    ],
)
def test_what_is_wrong_is_named_without_its_words(content: bytes, why: str) -> None:
    message = _message(content)
    reading = forms.read(message)
    assert isinstance(reading, forms.Unreadable), reading
    assert why in reading.reason
    assert CANARY not in reading.reason
    assert b"canary" not in forms.entry_of(message, reading, "rejected", "2026-11-01T12:00:01.000000Z")


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.part11("11.10(h)")
def test_an_event_on_a_subject_of_another_writer_is_refused() -> None:
    decided = STORY["task.decided.v1"]
    elsewhere = subjects.inference_settled("s", "00000000-0000-4000-8000-000000000000")
    reading = forms.read(_message(decided.to_bytes(), elsewhere))
    assert reading == forms.Unreadable(reason="the event does not belong on this subject")


def test_unknown_members_are_recorded_and_counted_in_the_digest() -> None:
    plain, more = forms.read(_message(SUBMITTED.to_bytes())), forms.read(_message(_changed_data(hint={"level": 3})))
    assert isinstance(plain, forms.Said)
    assert isinstance(more, forms.Said)
    assert more.envelope["data"]["hint"] == {"level": 3}
    assert more.digest != plain.digest


def test_what_stands_beside_a_text_is_recorded_and_the_text_is_not() -> None:
    said = forms.read(_message(_changed_data(prompt={"text": CANARY, "salt": "00" * 16, "lang": "en"})))
    assert isinstance(said, forms.Said)
    assert said.envelope["data"]["prompt"] == {**Text(text=CANARY, salt="00" * 16).ref().model_dump(), "lang": "en"}


def test_inputs_may_be_named_as_a_texts_members_are() -> None:
    named = {"text": text("a").model_dump(), "salt": text("b").model_dump()}
    said = forms.read(_message(_changed_data(inputs=named)))
    assert isinstance(said, forms.Said)
    assert said.envelope["data"]["inputs"] == {
        "text": text("a").ref().model_dump(),
        "salt": text("b").ref().model_dump(),
    }


def test_an_advisory_keeps_its_known_members_only() -> None:
    content = orjson.dumps(
        {
            "type": "io.nats.jetstream.advisory.v1.max_deliver",
            "stream_seq": 7,
            "deliveries": 8,
            "load": 0.5,
            "x": CANARY,
        }
    )
    subject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.TASK.router--task-submitted"
    message = forms.Delivered(
        stream="ADVISORY", created="c", sequence=1, subject=subject, stored_at="2026-11-01T12:00:00Z", content=content
    )
    reading = forms.read(message)
    assert reading == forms.Advised(
        members={"type": "io.nats.jetstream.advisory.v1.max_deliver", "stream_seq": 7, "deliveries": 8}
    )


def test_every_type_that_streams_to_the_ledger_is_readable() -> None:
    types = {event.type for event in STORY.events}
    assert {"task.submitted.v1", "review.decided.v1", "task.decided.v1"} <= types
    story = Story(events=(enveloped(STORY["task.decided.v1"].data),))
    assert isinstance(forms.read(Streams().deliver(story.events)[0]), forms.Said)
