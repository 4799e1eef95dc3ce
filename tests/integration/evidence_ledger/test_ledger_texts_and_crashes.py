"""Texts stay sealed everywhere, erasing a key leaves every proof, and a crash costs nothing."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.aio.client import Client
from tierproof_contracts import topology
from tierproof_embedded.testing import NatsServer, PostgresServer
from tierproof_evidence_ledger.errors import Deposed, MigrationRefused
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.settings import LedgerSettings, trust_of
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import answered_task
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.trust import Trust

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
CANARY = "canary-77aa31"


@pytest.mark.requirement("S6-phi")
async def test_no_text_is_stored_in_clear(own_postgres: PostgresServer, office: Office, tmp_path: Path) -> None:
    """Search the whole data folder, write-ahead log included, for a text that was recorded and released."""
    migrate(own_postgres.dsn(), delivered_migrations())
    store = await Store.open(own_postgres.dsn())
    recorder = await begin(store, office)
    story = answered_task(1, answer=CANARY)
    await recorder.record(Streams().deliver(story.events), NOW)
    await store.close()
    with psycopg.connect(own_postgres.dsn(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        assert connection.execute("SELECT count(*) FROM ledger.outbox").fetchone() == (1,)
    own_postgres.stop()
    files = [path for path in own_postgres.cluster.folder.rglob("*") if path.is_file()]
    assert any("pg_wal" in path.parts for path in files)
    holding = [path.name for path in files if CANARY.encode() in path.read_bytes()]
    assert holding == []
    assert any(story.task_id.encode() in path.read_bytes() for path in files), "the search itself must be able to find"


@pytest.mark.requirement("LED-proof")
async def test_erasing_a_key_makes_texts_noise_and_leaves_every_proof(
    recorder: Recorder, ledger: Any, office: Office
) -> None:
    streams = Streams()
    await recorder.record(streams.deliver(answered_task(1).events), NOW)
    commitment = answered_task(1)["task.submitted.v1"].data.prompt.ref().commitment
    text, key = await recorder.store.text(commitment) or (None, None)
    assert text is not None
    assert key is not None
    assert office.vault.open(text, key).text == "a prompt 1"
    erased = ledger.rows("SELECT ledger.erase_texts_of('acme', 'asked by the tenant')", role="ledger_eraser")
    assert erased == [(1,)]
    assert (await recorder.store.text(commitment) or (None, "key"))[1] is None
    assert ledger.rows("SELECT tenant, reason, erased_by FROM ledger.v_erasure", role="ledger_auditor") == [
        ("acme", "asked by the tenant", "ledger_eraser")
    ]
    assert verify(ledger.dsn("ledger_auditor"), Trust(log_keys=(LogKey(key=office.signer.verifier_key),))).faults == []
    await recorder.record(streams.deliver(answered_task(2).events), NOW)
    later = answered_task(2)["task.submitted.v1"].data.prompt.ref().commitment
    text, key = await recorder.store.text(later) or (None, None)
    assert text is not None
    assert key is not None
    assert office.vault.open(text, key).text == "a prompt 2"


async def test_an_erasure_needs_a_reason_and_the_right_role(recorder: Recorder, ledger: Any) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        ledger.rows("SELECT ledger.erase_texts_of('acme', '')", role="ledger_eraser")
    for role in ("ledger_writer", "ledger_auditor"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ledger.rows("SELECT ledger.erase_texts_of('acme', 'why not')", role=role)


@pytest.mark.requirement("BUS-delivery")
async def test_a_deposed_sequencer_commits_nothing(recorder: Recorder, start: Callable[[], Any], ledger: Any) -> None:
    await start()
    with pytest.raises(Deposed, match="term 2"):
        await recorder.record(Streams().deliver(answered_task(1).events), NOW)
    assert ledger.rows("SELECT count(*) FROM ledger.entry") == [(0,)]


async def test_the_office_is_held_by_one_connection(ledger: Any) -> None:
    first, second = [await Store.open(ledger.dsn("ledger_writer")) for _ in range(2)]
    assert await first.try_office()
    assert not await second.try_office()
    await first.close()
    async with asyncio.timeout(5):
        while not await second.try_office():  # noqa: ASYNC110 - the server frees the lock when it notices
            await asyncio.sleep(0.02)
    await second.close()


def test_migrating_again_changes_nothing_and_an_edited_migration_is_refused(database: str, tmp_path: Path) -> None:
    for path in delivered_migrations().glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert migrate(database, tmp_path) == sorted(path.name for path in tmp_path.iterdir())
    assert migrate(database, tmp_path) == []
    first = min(tmp_path.iterdir())
    first.write_text(first.read_text() + "\n-- edited\n")
    with pytest.raises(MigrationRefused, match="edited"):
        migrate(database, tmp_path)
    first.unlink()
    with pytest.raises(MigrationRefused, match="not in the folder"):
        migrate(database, tmp_path)


async def _fed(broker: NatsServer, count: int) -> None:
    """Publish whole tasks, slowly enough to be still at it when the ledger is killed for the last time."""
    client: Client = await nats.connect(broker.url)
    stream = client.jetstream()
    for number in range(count):
        for event in answered_task(number).events:
            subject = event.data.subject()
            await stream.publish(subject, event.to_bytes(), stream=topology.stream_of(subject))
            await asyncio.sleep(0.02)
    await client.close()


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of a test; none outlives it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


async def _in_office(
    environment: dict[str, str], ledger: Any, log_file: Path, processes: list[subprocess.Popen[bytes]]
) -> subprocess.Popen[bytes]:
    """Start a ledger process and wait until it has begun a new term."""
    before = ledger.rows("SELECT count(*) FROM ledger.term")
    command = [sys.executable, "-m", "tierproof_evidence_ledger", "serve"]
    with log_file.open("ab") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)  # noqa: ASYNC220 - ended by the caller
    processes.append(process)
    async with asyncio.timeout(20):
        while ledger.rows("SELECT count(*) FROM ledger.term") == before:  # noqa: ASYNC110 - the table is all that tells
            await asyncio.sleep(0.02)
    return process


@pytest.mark.requirement("BUS-delivery")
async def test_killing_the_ledger_again_and_again_costs_nothing(
    environment: dict[str, str],
    broker: NatsServer,
    ledger: Any,
    settings: LedgerSettings,
    tmp_path: Path,
    processes: list[subprocess.Popen[bytes]],
) -> None:
    """Kill -9 at seeded random moments while events arrive: afterwards each event is recorded once, each task released once."""
    count, moments = 80, random.Random(20261123)
    feeding = asyncio.create_task(_fed(broker, count))
    log_file = tmp_path / "ledger.log"
    for _ in range(4):
        process = await _in_office(environment, ledger, log_file, processes)
        await asyncio.sleep(moments.random())
        process.kill()
        process.wait()
    assert not feeding.done(), "killed while events arrived"
    process = await _in_office(environment, ledger, log_file, processes)
    await feeding
    async with asyncio.timeout(30):
        published = "SELECT count(*) FROM ledger.outbox_published WHERE kind = 'release'"
        while ledger.rows(published) != [(count,)]:  # noqa: ASYNC110 - the table is all that tells
            await asyncio.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, 10)
    assert process.returncode == 0, log_file.read_text()[-3000:]
    assert ledger.rows("SELECT kind, count(*) FROM ledger.v_entry WHERE kind <> 'act' GROUP BY kind ORDER BY kind") == [
        ("event", 7 * count),
        ("release", count),
    ]
    assert ledger.rows("SELECT count(*), count(DISTINCT task_id) FROM ledger.outcome") == [(count, count)]
    assert ledger.rows("SELECT max(term) FROM ledger.term") == [(5,)]
    client = await nats.connect(broker.url)
    assert (await client.jetstream().stream_info("RESULT")).state.messages == count
    await client.close()
    assert verify(ledger.dsn("ledger_auditor"), trust_of(settings)).faults == []
