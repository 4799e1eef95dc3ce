"""A database from an old backup becomes the ledger that it was; where anything was lost, nothing is written."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from tierproof_contracts import subjects
from tierproof_evidence_ledger import restore as restoring
from tierproof_evidence_ledger.elsewhere import DataLoss, Rewritten
from tierproof_evidence_ledger.errors import Corrupted, NotInOffice
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.mirror import Mirror
from tierproof_evidence_ledger.mirror_folder import MirrorDiverged
from tierproof_evidence_ledger.restore import restore
from tierproof_evidence_ledger.settings import LedgerSettings, trust_of
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.testing import Story, answered_task
from tierproof_evidence_ledger.verify import Scope, verify

from tests.integration.evidence_ledger.at_work import at_work, tell

TABLES = (
    "SELECT seq, canonical FROM ledger.entry",
    "SELECT stream, stream_created, stream_seq, seq, disposition, event_id FROM ledger.v_ingest_key",
    "SELECT level, n, hashes FROM ledger.tile",
    "SELECT size, note FROM ledger.published_checkpoint",
    "SELECT task_id, seq, status, decision FROM ledger.outcome",
    "SELECT commitment, tenant, task_id FROM ledger.sealed_text",
    "SELECT kind, ref FROM ledger.outbox",
)
Ledger = Any  # LedgerDatabase of conftest.py


@pytest.fixture
def mirrored(settings: LedgerSettings, ledger: Ledger, tmp_path: Path) -> LedgerSettings:
    """A ledger with a second copy, and an owner who may restore it."""
    own = {"mirror": tmp_path / "mirror", "pg_owner_dsn": ledger.dsn()}
    return settings.model_copy(update=own)


async def _lies(client: Client, stream: str, subject: str) -> dict[str, Any] | None:
    reply = await client.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"last_by_subj": subject}).encode())
    return json.loads(reply.data) if "Nats-Sequence" in (reply.headers or {}) else None


async def told_all(client: Client, ledger: Ledger, *stories: Story) -> None:
    """Wait until tasks are released, their checkpoints announced, and all of that noted."""
    async with asyncio.timeout(20):
        for story in stories:
            subject = subjects.result_released("acme", story.task_id)
            while await _lies(client, "RESULT", subject) is None:  # noqa: ASYNC110 - a stream is polled
                await asyncio.sleep(0.02)
        waiting = """SELECT (SELECT max(seq) + 1 FROM ledger.entry) IS DISTINCT FROM (SELECT max(size) FROM ledger.published_checkpoint)
                     OR EXISTS (SELECT 1 FROM ledger.v_outbox WHERE stream_seq IS NULL)
                     OR EXISTS (SELECT 1 FROM ledger.v_act WHERE seq IS NULL)"""
        while ledger.rows(waiting)[0][0]:  # noqa: ASYNC110 - a database is polled
            await asyncio.sleep(0.05)


@pytest.fixture
def backup_of(ledger: Ledger) -> Iterator[Callable[[], Ledger]]:
    """Copy the database as it is, as a backup would; what is copied is restored and started already."""
    copies: list[Ledger] = []

    def copied() -> Ledger:
        copies.append(type(ledger)(ledger.server, ledger.server.create_database(ledger.name)))
        return copies[-1]

    yield copied
    for copy in copies:
        ledger.server.drop_database(copy.name)


def on(settings: LedgerSettings, database: Ledger, **changes: Any) -> LedgerSettings:
    """Return the settings for another database."""
    dsns = {
        "pg_dsn": database.dsn("ledger_writer"),
        "pg_auditor_dsn": database.dsn("ledger_auditor"),
        "pg_owner_dsn": database.dsn(),
    }
    return settings.model_copy(update=dsns | changes)


def tables(database: Ledger, below: int) -> list[set[Any]]:
    """Return what the tables hold of the first entries."""
    found = [set(database.rows(query)) for query in TABLES]
    found[0] = {row for row in found[0] if row[0] < below}
    found[1] = {row for row in found[1] if row[3] < below}
    return found


@pytest.mark.requirement("LED-append")
@pytest.mark.part11("11.10(c)")
async def test_a_backup_older_than_the_mirror_becomes_the_ledger_byte_for_byte(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger]
) -> None:
    before, after = [answered_task(n) for n in range(5)], [answered_task(n) for n in range(5, 45)]
    async with at_work(mirrored):
        await tell(everyone, *before)
        await told_all(everyone, ledger, *before)
    backup = backup_of()
    async with at_work(mirrored):
        await tell(everyone, *after)
        await told_all(everyone, ledger, *after)
    size = ledger.rows("SELECT count(*) FROM ledger.entry")[0][0]
    begun = backup.rows("SELECT count(*) FROM ledger.entry")[0][0]
    noted = len(backup.rows("SELECT 1 FROM ledger.outbox_published"))
    settings = on(mirrored, backup)
    report = await restore(settings)
    assert (report.from_size, report.mirror_size, report.mirrored) == (begun, size, size - begun)
    assert (report.replayed, report.texts_missing, report.taken, report.faults) == (0, [], [], [])
    assert report.texts_again >= len(ledger.rows("SELECT 1 FROM ledger.sealed_text")) - len(before) * 4
    assert report.size == size + 1, "the restore itself is the one entry more"
    assert tables(backup, size) == tables(ledger, size)
    assert report.already_published == len(ledger.rows("SELECT 1 FROM ledger.outbox")) - noted
    assert backup.rows("SELECT * FROM ledger.v_outbox WHERE stream_seq IS NULL") == []
    act = json.loads(bytes(backup.rows("SELECT canonical FROM ledger.entry ORDER BY seq DESC LIMIT 1")[0][0]))
    assert act["event"]["type"] == "ledger.restored.v1"
    assert (act["event"]["data"]["from_size"], act["event"]["data"]["mirrored"]) == (begun, size - begun)
    results = (await everyone.jetstream().stream_info("RESULT")).state.messages
    last = answered_task(99)
    async with at_work(settings):
        await tell(everyone, last)
        await told_all(everyone, backup, last)
    assert (await everyone.jetstream().stream_info("RESULT")).state.messages == results + 1, "nobody was told twice"
    assert verify(settings.auditor_dsn, trust_of(settings)).faults == []


async def test_what_only_the_streams_hold_is_recorded_now(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger], tmp_path: Path
) -> None:
    """The mirror is lost with the database, and the consumers have acknowledged everything: read by position all the same."""
    before, after = answered_task(1), answered_task(2)
    async with at_work(mirrored):
        await tell(everyone, before)
        await told_all(everyone, ledger, before)
    backup = backup_of()
    stories = [answered_task(n).without("task.decided.v1") for n in range(10, 15)]
    quiet = mirrored.model_copy(update={"announce_ms": 3_600_000})
    async with at_work(quiet):
        await tell(everyone, *stories)
        async with asyncio.timeout(10):
            while len(ledger.rows("SELECT DISTINCT (said).task_id FROM ledger.entry WHERE (said).kind = 'event'")) < 6:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # acknowledgements follow the commit
    settings = on(mirrored, backup, mirror=tmp_path / "another")
    report = await restore(settings)
    assert (report.mirrored, report.replayed, report.faults) == (0, 5 * 6, [])
    assert report.appended == 5 * 6
    said = "SELECT event_id FROM ledger.ingest_key WHERE event_id IS NOT NULL"
    assert set(backup.rows(said)) == set(ledger.rows(said))
    async with at_work(settings):
        await tell(everyone, after)
        await told_all(everyone, backup, after)


@pytest.mark.part11("11.10(c)")
async def test_more_than_we_hold_was_published_and_nothing_is_written(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger], tmp_path: Path
) -> None:
    """Database and mirror are both old: consumers hold checkpoints of more entries."""
    async with at_work(mirrored):
        await tell(everyone, answered_task(1))
        await told_all(everyone, ledger, answered_task(1))
    backup, size = backup_of(), ledger.rows("SELECT count(*) FROM ledger.entry")[0][0]
    assert mirrored.mirror is not None
    shutil.copytree(mirrored.mirror, tmp_path / "old")
    async with at_work(mirrored):
        await tell(everyone, answered_task(2))
        await told_all(everyone, ledger, answered_task(2))
    lost = ledger.rows("SELECT max(size) FROM ledger.published_checkpoint")[0][0]
    was = [backup.rows(query) for query in TABLES]
    with pytest.raises(DataLoss, match=f"{lost} entries were published, and database and mirror hold {size}"):
        await restore(on(mirrored, backup, mirror=tmp_path / "old"))
    assert [backup.rows(query) for query in TABLES] == was


async def test_a_mirror_with_another_history_is_refused(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger], tmp_path: Path
) -> None:
    async with at_work(mirrored):
        await tell(everyone, answered_task(1))
        await told_all(everyone, ledger, answered_task(1))
    backup = backup_of()
    entries = [bytes(row[0]) for row in ledger.rows("SELECT canonical FROM ledger.entry ORDER BY seq")]
    with Mirror.open(tmp_path / "other", mirrored.log_name) as other:
        other.append(0, [*entries[:-1], entries[-1].replace(b"recorded_at", b"recorded_as")])
    was = [backup.rows(query) for query in TABLES]
    with pytest.raises(Rewritten, match="are not those of the database"):
        await restore(on(mirrored, backup, mirror=tmp_path / "other"))
    with Mirror.open(tmp_path / "other2", mirrored.log_name) as other:
        other.append(0, [*entries, b'{"kind":"forged"}'])
    with pytest.raises(Corrupted, match="does not have an entry's form"):
        await restore(on(mirrored, backup, mirror=tmp_path / "other2"))
    assert [backup.rows(query) for query in TABLES] == was


async def test_a_restored_database_that_was_altered_is_refused(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger]
) -> None:
    async with at_work(mirrored):
        await tell(everyone, answered_task(1))
        await told_all(everyone, ledger, answered_task(1))
    backup = backup_of()
    backup.rows("ALTER TABLE ledger.outcome DISABLE TRIGGER ALL")
    backup.rows("DELETE FROM ledger.outcome")
    with pytest.raises(Corrupted, match="the restored database is damaged"):
        await restore(on(mirrored, backup))


async def test_a_ledger_at_work_is_not_restored(mirrored: LedgerSettings, ledger: Ledger, everyone: Client) -> None:
    async with at_work(mirrored):
        await tell(everyone, answered_task(1))
        await told_all(everyone, ledger, answered_task(1))
        with pytest.raises(NotInOffice, match="stop the ledger"):
            await restore(mirrored)


async def test_an_interrupted_restore_goes_on(
    mirrored: LedgerSettings,
    ledger: Ledger,
    everyone: Client,
    backup_of: Callable[[], Ledger],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever commit is the last before the end, the second restore gives the same ledger."""
    stories = [answered_task(n) for n in range(12)]
    first = backup_of()
    async with at_work(mirrored):
        await tell(everyone, *stories)
        await told_all(everyone, ledger, *stories)
    size, commit = ledger.rows("SELECT count(*) FROM ledger.entry")[0][0], Store.commit
    for last_commit in (1, 2, 5, 9):
        backup = type(ledger)(ledger.server, ledger.server.create_database(first.name))
        settings, left = on(mirrored, backup, batch_events=10), [last_commit]

        async def ending(store: Store, *given: Any, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            await commit(store, *given)

        monkeypatch.setattr(Store, "commit", ending)
        with pytest.raises(KeyboardInterrupt):
            await restore(settings)
        monkeypatch.undo()
        report = await restore(settings)
        assert report.faults == []
        assert tables(backup, size) == tables(ledger, size)
        ledger.server.drop_database(backup.name)
        assert mirrored.mirror is not None
        _shorten(mirrored, ledger, size)


def _shorten(settings: LedgerSettings, ledger: Ledger, size: int) -> None:
    """Give the mirror back what it was: the act of the restore is no part of the next round."""
    assert settings.mirror is not None
    with Mirror.open(settings.mirror, settings.log_name) as mirror:
        note = mirror.checkpoint()
    shutil.rmtree(settings.mirror)
    with Mirror.open(settings.mirror, settings.log_name) as mirror:
        mirror.append(0, [bytes(row[0]) for row in ledger.rows("SELECT canonical FROM ledger.entry ORDER BY seq")])
        assert note is not None
        mirror.publish(note, size)


@pytest.mark.part11("11.10(c)")
async def test_erased_texts_stay_erased_and_holds_stay_placed(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger]
) -> None:
    """The backup still holds the key that was erased after it: a restore must not give it back."""
    early, late, other = answered_task(1), answered_task(2), answered_task(3, tenant="globex")
    async with at_work(mirrored):
        await tell(everyone, early)
        await told_all(everyone, ledger, early)
    backup = backup_of()
    async with at_work(mirrored):
        await tell(everyone, late, other)
        await told_all(everyone, ledger, late)
        ledger.rows("SELECT ledger.erase_texts_of('acme', 'they asked for it')", role="ledger_eraser")
        ledger.rows("SELECT ledger.place_hold('globex', 'a question')", role="ledger_holder")
        again = answered_task(4)
        await tell(everyone, again)
        await told_all(everyone, ledger, again)
    assert backup.rows("SELECT count(*) FROM ledger.text_key WHERE tenant = 'acme'") == [(1,)]
    report = await restore(on(mirrored, backup))
    assert (report.faults, report.texts_missing) == ([], [])
    readable = "SELECT task_id, readable, count(*) FROM ledger.v_sealed_text GROUP BY 1, 2"
    assert set(backup.rows(readable)) == set(ledger.rows(readable))
    assert {row[1] for row in backup.rows(readable) if row[0] in {early.task_id, late.task_id}} == {False}
    for query in (
        "SELECT hold_id, tenant, reason FROM ledger.v_hold",
        "SELECT key_id, reason, erased_by FROM ledger.v_erasure",
    ):
        assert backup.rows(query) == ledger.rows(query)
        assert len(backup.rows(query)) == 1


async def test_texts_that_the_streams_have_dropped_are_named(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger]
) -> None:
    story = answered_task(1)
    backup = backup_of()
    async with at_work(mirrored):
        await tell(everyone, story)
        await told_all(everyone, ledger, story)
    await everyone.jetstream().purge_stream("TASK")
    report = await restore(on(mirrored, backup))
    submitted = story["task.submitted.v1"].data
    assert set(report.texts_missing) == {
        submitted.prompt.ref().commitment,
        submitted.inputs["reference"].ref().commitment,
    }
    assert report.faults == [], "what the log says of a loss is no fault of the restored ledger"
    assert len(backup.rows("SELECT 1 FROM ledger.entry")) == report.size


async def test_a_result_that_was_never_sent_is_sent_once(
    mirrored: LedgerSettings,
    ledger: Ledger,
    everyone: Client,
    backup_of: Callable[[], Ledger],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ledger ended between second copy and sending: the outbox of the restored ledger has the result still."""
    story = answered_task(1)
    backup = backup_of()
    monkeypatch.setattr("tierproof_evidence_ledger.relay.Relay.put", lambda *_: None)
    async with at_work(mirrored):
        await tell(everyone, story)
        async with asyncio.timeout(10):
            while not ledger.rows("SELECT 1 FROM ledger.outcome"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    monkeypatch.undo()
    settings = on(mirrored, backup)
    report = await restore(settings)
    assert (report.already_published, report.faults) == (0, [])
    subject = subjects.result_released("acme", story.task_id)
    assert await _lies(everyone, "RESULT", subject) is None
    async with at_work(settings):
        await told_all(everyone, backup, story)
    assert (await everyone.jetstream().stream_info("RESULT")).state.messages == 1


def test_a_diverged_mirror_is_a_corrupted_ledger() -> None:
    assert issubclass(MirrorDiverged, Corrupted)
    assert restoring.COPIED > 0


async def test_a_key_that_was_rotated_after_the_backup_signs_what_is_put_back(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger], tmp_path: Path
) -> None:
    """The old key signs up to the act, both for a while, then the new one alone; who knows only the old key follows."""
    before, after = [answered_task(n) for n in range(3)], [answered_task(n) for n in range(3, 9)]
    async with at_work(mirrored):
        await tell(everyone, *before)
        await told_all(everyone, ledger, *before)
    backup = backup_of()
    turned = mirrored.model_copy(update={"next_log_key": str(tmp_path / "next.pem"), "log_key_overlap": 20})
    async with at_work(turned):
        await tell(everyone, *after)
        await told_all(everyone, ledger, *after)
    size = ledger.rows("SELECT count(*) FROM ledger.entry")[0][0]
    settings = on(turned, backup, batch_events=7)
    report = await restore(settings)
    assert (report.faults, report.taken) == ([], [])
    assert tables(backup, size) == tables(ledger, size)
    assert verify(settings.auditor_dsn, trust_of(mirrored)).faults == []


async def test_texts_of_a_stream_that_was_made_anew_are_not_taken_for_others(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger]
) -> None:
    """A stream that was deleted and laid out again counts from 1: its messages stand at positions of others."""
    first, second = answered_task(1), answered_task(2)
    backup = backup_of()
    async with at_work(mirrored):
        await tell(everyone, first)
        await told_all(everyone, ledger, first)
    info = await everyone.jetstream().stream_info("INFERENCE")
    consumers = await everyone.jetstream().consumers_info("INFERENCE")
    await everyone.jetstream().delete_stream("INFERENCE")
    await everyone.jetstream().add_stream(info.config)
    for consumer in consumers:
        await everyone.jetstream().add_consumer("INFERENCE", consumer.config)
    report = await restore(on(mirrored, backup))
    assert report.texts_missing, "what only that stream carried is gone"
    assert report.texts_again > 0
    assert report.faults == []
    settings = on(mirrored, backup)
    async with at_work(settings):
        await tell(everyone, second)
        await told_all(everyone, backup, second)
    assert verify(settings.auditor_dsn, trust_of(settings)).faults == []


async def test_a_backup_of_an_older_release_is_migrated_and_then_restored(
    mirrored: LedgerSettings, ledger: Ledger, everyone: Client, backup_of: Callable[[], Ledger], tmp_path: Path
) -> None:
    """What the schema is made of since is known to the database alone, until the restore has it recorded."""
    migrate(ledger.dsn(), delivered_migrations())
    async with at_work(mirrored):
        await tell(everyone, answered_task(1))
        await told_all(everyone, ledger, answered_task(1))
    backup = backup_of()
    shutil.copytree(delivered_migrations(), tmp_path / "migrations")
    (tmp_path / "migrations" / "9999_more.sql").write_text("CREATE TABLE ledger.more (one text)")
    assert migrate(backup.dsn(), tmp_path / "migrations") == ["9999_more.sql"]
    report = await restore(on(mirrored, backup, migrations=tmp_path / "migrations"))
    assert report.faults == []
    query = "SELECT count(*) FROM ledger.entry WHERE (said).event_type IN ('ledger.migrated.v1', 'ledger.altered.v1')"
    assert backup.rows(query) == [(3,)], "the first migration, the second one, and the table that it made"
    backup.rows("DROP TABLE ledger.more")
    backup.rows(
        "SET session_replication_role = replica; DELETE FROM ledger.act WHERE done_at = (SELECT max(done_at) FROM ledger.act)"
    )
    settings, scope = on(mirrored, backup), Scope(migrations=tmp_path / "migrations")
    found = verify(settings.auditor_dsn, trust_of(settings), None, scope).faults
    assert [fault.what for fault in found if "more" in fault.what]
