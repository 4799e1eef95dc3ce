"""What one producer, one person with a little right, one wrong clock or one late word could do to everybody, and may not."""

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from tierproof_contracts.documents import RoutingPolicy
from tierproof_embedded.documents import fleet_folder
from tierproof_evidence_ledger.acts import QUERIED, Act
from tierproof_evidence_ledger.appender import Appender
from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.testing import abstained_task, answered_task, published
from tierproof_evidence_ledger.testing_streams import Streams

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
ENDLESS = secrets.token_hex(4000)  # does not compress below what an index holds


def _with(message: Delivered, **members: Any) -> Delivered:
    """Return a message whose data has more members than its contract knows."""
    said = json.loads(message.content)
    said["data"] |= members
    message.content = json.dumps(said).encode()
    return message


@pytest.mark.requirement("BUS-delivery")
@pytest.mark.parametrize("member", ["signer", "actor", "safety_class", "digest"])
async def test_no_event_is_too_long_for_an_index(recorder: Recorder, ledger: Any, member: str) -> None:
    streams = Streams()
    first, *rest = streams.deliver(answered_task(1).events)
    await recorder.record([_with(first, **{member: ENDLESS}), *rest], NOW)
    await recorder.record(streams.deliver(answered_task(2).events), NOW)
    assert ledger.rows("SELECT task_id, status FROM ledger.outcome") == [(answered_task(2).task_id, "answered")]
    (reason,) = ledger.rows("SELECT entry ->> 'reason' FROM ledger.v_entry WHERE kind = 'rejected'")[0]
    assert ("too long" in reason) == (member in {"signer", "digest"}), reason


@pytest.mark.parametrize("long", [ENDLESS, "t" * 70_000])
async def test_no_act_is_too_long(recorder: Recorder, ledger: Any, long: str) -> None:
    acts = [Act(type=QUERIED, data={"actor": long}), Act(type="ledger.held.v1", data={"actor": "a", "tenant": long})]
    await recorder.record([], NOW, acts)
    assert ledger.rows("SELECT count(*) FROM ledger.v_entry WHERE entry #>> '{event,data,unfit}' IS NOT NULL") == [(2,)]
    for command in ("SELECT ledger.place_hold(%s, 'why')", "SELECT ledger.erase_texts_of(%s, 'why')"):
        role = "ledger_holder" if "hold" in command else "ledger_eraser"
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="tenant"):
            ledger.rows(command, long, role=role)


async def test_a_clock_that_jumped_ahead_does_not_end_later_tasks(
    recorder: Recorder, start: Callable[[], Any], ledger: Any
) -> None:
    streams = Streams()
    await recorder.record(streams.deliver(abstained_task(1).events), NOW + timedelta(days=36_500))
    restarted = await start()
    submitted, *_ = answered_task(2).events
    await restarted.record(streams.deliver([submitted], "2026-11-01T12:29:00Z"), NOW)
    await restarted.record([], NOW + timedelta(seconds=5))
    assert ledger.rows("SELECT task_id FROM ledger.outcome") == [(abstained_task(1).task_id,)]
    await restarted.record([], NOW + timedelta(hours=2))
    assert len(ledger.rows("SELECT task_id FROM ledger.outcome")) == 2, "but by its own time it is"


async def test_unreadable_words_about_a_finished_task_leave_its_outcome(recorder: Recorder, ledger: Any) -> None:
    story = abstained_task(1)
    await recorder.record(Streams().deliver(story.events), NOW)
    anew = Streams(created="2026-11-02T00:00:00Z")
    subject = f"tierproof.task.submitted.v1.acme.{story.task_id}"
    await recorder.record([anew.message(subject, b"{}")], NOW + timedelta(days=2))
    assert ledger.rows("SELECT count(*) FROM ledger.outcome") == [(1,)]


async def test_an_endless_grace_ends_nothing(recorder: Recorder) -> None:
    policy = RoutingPolicy.model_validate_json((fleet_folder() / "routing-policy.json").read_bytes())
    streams = Streams()
    endless = policy.model_copy(update={"grace_ms": 10**15})
    await recorder.record(streams.deliver([published(endless)]), NOW)
    submitted, accepted, *_ = answered_task(1).events
    under_it = accepted.model_copy(update={"data": accepted.data.model_copy(update={"policy": endless.digest()})})
    await recorder.record(streams.deliver([submitted, under_it]), NOW)
    await recorder.record([], NOW + timedelta(days=400))


async def test_a_reader_does_not_hold_up_a_new_partition(recorder: Recorder, ledger: Any) -> None:
    await recorder.record(Streams().deliver(abstained_task(1).events), NOW)
    with psycopg.connect(ledger.dsn("ledger_auditor")) as reading:
        reading.execute("SELECT count(*) FROM ledger.v_entry").fetchall()
        with psycopg.connect(ledger.dsn("ledger_writer"), autocommit=True) as writing:
            writing.execute("SET lock_timeout = '2s'")
            assert writing.execute("SELECT ledger.make_room(4194304)").fetchone() == (1,)
        assert reading.execute("SELECT count(*) FROM ledger.v_entry").fetchall()
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        ledger.rows("SELECT ledger.make_room(4194304000000)", role="ledger_writer")


async def test_a_temporary_type_does_not_change_what_columns_say(recorder: Recorder, ledger: Any) -> None:
    await recorder.record(Streams().deliver(abstained_task(1).events), NOW)
    with psycopg.connect(ledger.dsn("ledger_writer")) as writing:
        writing.execute("CREATE DOMAIN pg_temp.jsonb AS text")
        writing.execute("CREATE DOMAIN pg_temp.timestamptz AS text")
        content = orjson.dumps({"kind": "event", "recorded_at": "2026-11-01T12:30:00Z", "event": {"type": "honest"}})
        writing.execute("INSERT INTO ledger.entry (seq, canonical) VALUES (99, %s)", [content])
    assert ledger.rows("SELECT event_type FROM ledger.v_entry WHERE seq = 99") == [("honest",)]


class SlowMirror:
    """A second copy that takes as long as the test wants."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def append(self, _first: int, _entries: Sequence[bytes]) -> None:
        """Wait."""
        self.free.wait(10)


async def test_nobody_is_told_of_an_act_that_has_no_second_copy(recorder: Recorder) -> None:
    mirror, told = SlowMirror(), asyncio.Event()
    sent: list[tuple[str, int]] = []
    appender = Appender(recorder, mirror, sent.extend)  # type: ignore[arg-type]  # only `append` is asked of it

    async def then(_batch: Any) -> None:
        told.set()

    await appender.append(Streams().deliver(abstained_task(1).events), NOW, [Act(type=QUERIED, data={})], then)
    await asyncio.sleep(0.1)
    assert (told.is_set(), sent, appender.secured) == (False, [], 0)
    mirror.free.set()
    await appender.settled()
    assert told.is_set()
    assert sent
    assert appender.secured == recorder.size
