"""Messages become entries and releases, once each, whatever is delivered how often."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.testing import REVIEWERS, abstained_task, answered_task, published
from tierproof_evidence_ledger.testing_streams import Streams

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)


def _kinds(ledger: Any) -> list[tuple[Any, ...]]:
    return list(ledger.rows("SELECT kind, event_type FROM ledger.v_entry ORDER BY seq"))


@pytest.mark.requirement("LED-append")
async def test_a_task_is_recorded_and_released_in_one_batch(recorder: Recorder, ledger: Any) -> None:
    story = answered_task(1)
    batch = await recorder.record(Streams().deliver(story.events), NOW)
    assert len(batch.entries) == len(story.events) + 1
    assert _kinds(ledger)[-1] == ("release", "result.released.v1")
    rows = ledger.rows("SELECT task_id, seq, status, decision FROM ledger.outcome")
    assert rows == [(story.task_id, 7, "answered", story["task.decided.v1"].id)]
    assert ("release", 7) in ledger.rows("SELECT kind, ref FROM ledger.outbox")


@pytest.mark.requirement("BUS-delivery")
async def test_redelivery_changes_nothing(recorder: Recorder, start: Callable[[], Any], ledger: Any) -> None:
    messages = Streams().deliver(answered_task(1).events)
    await recorder.record(messages, NOW)
    before = ledger.rows("SELECT count(*) FROM ledger.entry")
    await recorder.record(messages, NOW)
    restarted = await start()
    await restarted.record(messages[3:], NOW)
    assert ledger.rows("SELECT count(*) FROM ledger.entry") == before
    assert ledger.rows("SELECT count(*) FROM ledger.checkpoint") == [(1,)]


async def test_a_decision_waits_for_its_evidence_and_is_released_with_it(recorder: Recorder, ledger: Any) -> None:
    story, streams = answered_task(1), Streams()
    await recorder.record(streams.deliver(story.without("inference.settled.v1").events), NOW)
    assert ledger.rows("SELECT * FROM ledger.outcome") == []
    await recorder.record(streams.deliver([story["inference.settled.v1"]]), NOW)
    assert ledger.rows("SELECT status FROM ledger.outcome") == [("answered",)]


async def test_a_decision_that_waited_is_released_after_a_restart(
    recorder: Recorder, start: Callable[[], Any], ledger: Any
) -> None:
    story, streams = answered_task(1), Streams()
    await recorder.record(streams.deliver(story.without("inference.settled.v1").events), NOW)
    restarted = await start()
    await restarted.record(streams.deliver([story["inference.settled.v1"]]), NOW)
    assert ledger.rows("SELECT status FROM ledger.outcome") == [("answered",)]


@pytest.mark.requirement("S9-classC")
async def test_class_c_waits_for_the_reviewers_document(recorder: Recorder, ledger: Any) -> None:
    story, streams = answered_task(1, safety_class="C"), Streams()
    await recorder.record(streams.deliver(story.events), NOW)
    assert ledger.rows("SELECT * FROM ledger.outcome") == []
    await recorder.record(streams.deliver([published(REVIEWERS)]), NOW)
    assert ledger.rows("SELECT status FROM ledger.outcome") == [("answered",)]
    entry = orjson.loads(ledger.rows("SELECT canonical FROM ledger.v_entry WHERE kind = 'release'")[0][0])
    assert entry["review"]["signer"] == "ada"


async def test_the_same_event_at_another_position_is_a_duplicate(recorder: Recorder, ledger: Any) -> None:
    story = abstained_task(1)
    await recorder.record(Streams().deliver(story.events), NOW)
    await recorder.record(Streams(created="2026-11-02T00:00:00Z").deliver(story.events), NOW)
    assert ledger.rows("SELECT disposition, count(*) FROM ledger.ingest_key GROUP BY 1 ORDER BY 1") == [
        ("duplicate", 3),
        ("recorded", 3),
    ]


@pytest.mark.part11("11.10(e)")
async def test_the_same_id_with_other_words_is_recorded_as_a_conflict(recorder: Recorder, ledger: Any) -> None:
    story, streams = abstained_task(1), Streams()
    changed = story.deciding(because="other words")
    await recorder.record(streams.deliver([*story.events, changed["task.decided.v1"]]), NOW)
    await recorder.record(streams.deliver([changed["task.decided.v1"]]), NOW)
    assert [kind for kind, _ in _kinds(ledger)].count("conflict") == 2
    assert ledger.rows("SELECT count(*) FROM ledger.outcome") == [(1,)]


async def test_time_and_trace_are_no_conflict(recorder: Recorder, ledger: Any) -> None:
    story, streams = abstained_task(1), Streams()
    again = story["task.decided.v1"].model_copy(
        update={"time": "2026-11-01T13:00:00Z", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    )
    await recorder.record(streams.deliver([*story.events, again]), NOW)
    assert "conflict" not in [kind for kind, _ in _kinds(ledger)]


async def test_bytes_that_are_no_event_are_recorded_and_swept(recorder: Recorder, ledger: Any) -> None:
    subject = f"tierproof.task.submitted.v1.acme.acme_{1:032x}"
    await recorder.record([Streams().message(subject, b'{"prompt": "secret words"', "2026-11-01T12:30:00Z")], NOW)
    entry = orjson.loads(ledger.rows("SELECT canonical FROM ledger.entry")[0][0])
    assert (entry["kind"], entry["size"]) == ("rejected", 25)
    await recorder.record([], NOW + timedelta(minutes=4))
    assert ledger.rows("SELECT * FROM ledger.outcome") == []
    await recorder.record([], NOW + timedelta(hours=2))
    assert ledger.rows("SELECT task_id, status FROM ledger.outcome") == [(f"acme_{1:032x}", "failed")]


async def test_an_overdue_task_is_released_as_a_failure_once(
    recorder: Recorder, start: Callable[[], Any], ledger: Any
) -> None:
    story, streams = answered_task(1), Streams()
    await recorder.record(streams.deliver(story.without("inference.settled.v1").events), NOW)
    restarted = await start()
    late = datetime(2099, 11, 1, 18, 6, tzinfo=UTC)
    await restarted.record([], late - timedelta(minutes=2))
    assert ledger.rows("SELECT * FROM ledger.outcome") == []
    await restarted.record([], late)
    await restarted.record(streams.deliver([story["inference.settled.v1"]]), late)
    await restarted.record([], late)
    entry = orjson.loads(ledger.rows("SELECT canonical FROM ledger.v_entry WHERE kind = 'release'")[0][0])
    assert entry["event"]["data"]["outcome"]["code"] == "undecided"
    assert story["inference.settled.v1"].id in entry["event"]["data"]["because"]
