"""A log changes its key and readers follow; what the ledger does itself is in the log; clocks and sizes do not break it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from tierproof_evidence_ledger.acts import Act
from tierproof_evidence_ledger.errors import Corrupted, NotConfigured
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import abstained_task, answered_task
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.note import NoteSigner, parse_note
from tierproof_proofs.trust import Trust

from tests.integration.evidence_ledger.at_work import in_office

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
NEXT = NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"the next log key, for tests only"))


def _signatures(ledger: Any) -> list[tuple[int, int]]:
    """Return size and number of signatures of every checkpoint."""
    rows = ledger.rows("SELECT size, note FROM ledger.checkpoint ORDER BY size")
    return [(size, len(parse_note(note.encode()).signatures)) for size, note in rows]


async def _tasks(recorder: Recorder, streams: Streams, numbers: range) -> None:
    for number in numbers:
        await recorder.record(streams.deliver(abstained_task(number).events), NOW)


@pytest.mark.requirement("LED-proof")
async def test_a_log_goes_over_to_another_key_and_readers_follow(ledger: Any, office: Office) -> None:
    streams = Streams()
    async with in_office(ledger, office) as recorder:
        await _tasks(recorder, streams, range(3))
    async with in_office(ledger, replace(office, next_signer=NEXT, overlap=10)) as recorder:
        before = recorder.size
        await _tasks(recorder, streams, range(3, 9))
    assert [count for size, count in _signatures(ledger) if size <= before] == [1, 1, 1]
    assert [count for size, count in _signatures(ledger) if before < size <= before + 10] == [2, 2]
    after = [size for size, count in _signatures(ledger) if size > before + 10 and count == 1]
    assert len(after) == 4
    async with in_office(ledger, replace(office, signer=NEXT)) as recorder:
        await _tasks(recorder, streams, range(9, 11))
    old = Trust(log_keys=(LogKey(key=office.signer.verifier_key),))
    report = verify(ledger.dsn("ledger_auditor"), old)
    assert report.faults == []
    note = ledger.rows("SELECT note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")[0][0]
    assert open_checkpoint(note.encode(), [LogKey(key=NEXT.verifier_key, since=before + 1)]).size == report.size


async def test_a_log_that_has_gone_over_is_not_written_with_the_old_key_alone(ledger: Any, office: Office) -> None:
    streams = Streams()
    async with in_office(ledger, replace(office, next_signer=NEXT, overlap=1)) as recorder:
        await _tasks(recorder, streams, range(2))
    with pytest.raises(NotConfigured, match="gone over to key"):
        async with in_office(ledger, office) as recorder:
            await _tasks(recorder, streams, range(2, 3))


@pytest.mark.requirement("LED-proof")
async def test_a_stranger_key_does_not_continue_the_log(ledger: Any, office: Office) -> None:
    async with in_office(ledger, office) as recorder:
        await _tasks(recorder, Streams(), range(2))
    with pytest.raises(Corrupted, match="cannot be trusted"):
        async with in_office(ledger, replace(office, signer=NEXT)):
            pass


@pytest.mark.part11("11.10(e)")
async def test_a_clock_that_was_set_back_does_not_set_back_the_log(recorder: Recorder, ledger: Any) -> None:
    streams = Streams()
    await recorder.record(streams.deliver(abstained_task(1).events), NOW)
    await recorder.record(streams.deliver(abstained_task(2).events), NOW - timedelta(hours=1))
    assert ledger.rows("SELECT count(DISTINCT recorded_at) FROM ledger.v_entry") == [(1,)]


async def test_nor_after_a_restart(recorder: Recorder, start: Callable[[], Any], ledger: Any) -> None:
    await recorder.record(Streams().deliver(abstained_task(1).events), NOW)
    restarted = await start()
    await restarted.record([], NOW - timedelta(hours=1), [Act(type="ledger.clocked.v1", data={"a": 1})])
    assert ledger.rows("SELECT count(DISTINCT recorded_at) FROM ledger.v_entry") == [(1,)]


async def test_an_act_is_an_entry_whatever_it_says(recorder: Recorder, ledger: Any) -> None:
    odd = {"actor": "a", "number": 1.5, "große": "\x00", "deep": [{"x": 2**60}], "half": "\ud800"}
    batch = await recorder.record([], NOW, [act := Act(type="ledger.queried.v1", data=odd)])
    large = await recorder.record([], NOW, [Act(type="ledger.queried.v1", data={"asked": "x" * 70_000})])
    assert batch.acts == {act.act_id: 0}
    said = orjson.loads(batch.entries[0])["event"]["data"]
    assert (said["number"], said["deep"][0]["x"]) == ("1.5", str(2**60))
    assert orjson.loads(large.entries[0])["event"]["data"]["unfit"].startswith("an entry of 70")
    assert ledger.rows("SELECT event_type, actor FROM ledger.v_entry") == [
        ("ledger.queried.v1", "a"),
        ("ledger.queried.v1", "evidence-ledger"),
    ]


async def test_an_event_that_no_bundle_could_hold_is_recorded_by_its_digest(recorder: Recorder, ledger: Any) -> None:
    story = answered_task(1)
    decided = story["task.decided.v1"]
    cites = tuple(decided.data.cites[0] for _ in range(600))
    long = decided.model_copy(update={"data": decided.data.model_copy(update={"cites": cites})})
    batch = await recorder.record(Streams().deliver([*story.without("task.decided.v1").events, long]), NOW)
    entry = orjson.loads(batch.entries[-1])
    assert entry["kind"] == "rejected"
    assert "bytes" in entry["reason"]
    assert ledger.rows("SELECT * FROM ledger.outcome") == []


@pytest.mark.part11("11.10(e)")
@pytest.mark.requirement("P4")
async def test_what_the_clocks_say_is_in_the_log(running: LedgerSettings, everyone: Client, ledger: Any) -> None:
    query = "SELECT entry #> '{event,data}' FROM ledger.v_entry WHERE event_type = 'ledger.clocked.v1'"
    async with asyncio.timeout(15):
        while not (found := ledger.rows(query)):  # noqa: ASYNC110 - the table is all that tells
            await asyncio.sleep(0.05)
    offsets = found[0][0]["offsets"]
    assert abs(offsets["database"]["offset_us"]) < 1_000_000
    assert abs(offsets["broker"]["offset_us"]) < 1_000_000


@pytest.mark.part11("11.10(k)")
@pytest.mark.requirement("P4")
async def test_a_migration_is_in_the_log_with_what_the_schema_is_made_of(database: str, office: Office) -> None:
    migrate(database, delivered_migrations())
    store = await Store.open(database)
    recorder = await begin(store, office)
    batch = await recorder.record([], NOW)
    await store.close()
    said = orjson.loads(batch.entries[0])["event"]
    assert (said["type"], said["data"]["migrations"]) == ("ledger.migrated.v1", ["0001_ledger.sql"])
    assert any(part.startswith("trigger ledger.entry") for part in said["data"]["parts"])
    assert migrate(database, delivered_migrations()) == []


@pytest.mark.requirement("LED-append")
async def test_a_deed_that_no_entry_could_hold_is_no_fault(recorder: Recorder, ledger: Any, office: Office) -> None:
    """Dropping very many things at once says more than an entry holds: the log has its digest, and verification computes the same."""
    objects = [f"ledger.thing_{number:06}" for number in range(4000)]
    said = orjson.dumps({"actor": "postgres", "command": "DROP", "objects": objects}).decode()
    ledger.rows("INSERT INTO ledger.act (type, said) VALUES ('ledger.altered.v1', %s)", said)
    await recorder.record([], NOW)
    assert ledger.rows("SELECT entry #>> '{event,data,unfit}' FROM ledger.v_entry")[0][0].startswith("an entry of")
    trust = Trust(log_keys=(LogKey(key=office.signer.verifier_key),))
    assert verify(ledger.dsn("ledger_auditor"), trust).faults == []
