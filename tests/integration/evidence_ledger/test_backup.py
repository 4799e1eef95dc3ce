"""A base backup of a ledger at work, started on another server, becomes the whole ledger, also when the restore is killed."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nats.aio.client import Client
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger.backup import BASE, MANIFEST, WITHOUT, BackupFailed, back_up, opened, program
from tierproof_evidence_ledger.mirror import Mirror
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.testing import answered_task

from tests.integration.evidence_ledger.at_work import at_work, tell

ENTRIES = "SELECT seq, canonical FROM ledger.entry"
Ledger = Any  # LedgerDatabase of conftest.py


async def done(client: Client, ledger: Ledger, numbers: range) -> None:
    """Have tasks done, and wait for their outcomes."""
    await tell(client, *(answered_task(number) for number in numbers))
    async with asyncio.timeout(20):
        while ledger.rows("SELECT count(*) FROM ledger.outcome")[0][0] < numbers.stop:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)


def started(backup: Path, folder: Path) -> PostgresServer:
    """Start a server on a copy of a backup."""
    server = PostgresServer(folder, backup / BASE)
    server.start()
    return server


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[list[PostgresServer]]:
    """Servers that are stopped at the end."""
    servers: list[PostgresServer] = []
    yield servers
    for server in servers:
        server.stop()


def restoring(environment: dict[str, str], server: PostgresServer, name: str, mirror: Path) -> subprocess.Popen[bytes]:
    """Begin a restore in a process of its own."""
    own = {
        "TIERPROOF_PG_DSN": server.dsn(name, "ledger_writer", "ledger_writer"),
        "TIERPROOF_PG_AUDITOR_DSN": server.dsn(name, "ledger_auditor", "ledger_auditor"),
        "TIERPROOF_PG_OWNER_DSN": server.dsn(name),
        "TIERPROOF_EVIDENCE_LEDGER_MIRROR": str(mirror),
        "TIERPROOF_EVIDENCE_LEDGER_BATCH_EVENTS": "4",
    }
    argv = [sys.executable, "-m", "tierproof_evidence_ledger", "restore", "--json"]
    return subprocess.Popen(
        argv, env={**os.environ, **environment, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.requirement("LED-append")
@pytest.mark.part11("11.10(c)")
async def test_a_backup_that_was_made_at_work_is_restored_though_the_restore_is_killed(
    settings: LedgerSettings,
    environment: dict[str, str],
    ledger: Ledger,
    everyone: Client,
    tmp_path: Path,
    elsewhere: list[PostgresServer],
) -> None:
    mirrored = settings.model_copy(update={"mirror": tmp_path / "mirror"})
    async with at_work(mirrored):
        await done(everyone, ledger, range(10))
        working = asyncio.create_task(done(everyone, ledger, range(10, 60)))
        made = await asyncio.to_thread(back_up, ledger.dsn(), tmp_path / "backup")
        await working
        await done(everyone, ledger, range(60, 70))
    size = ledger.rows("SELECT count(*) FROM ledger.entry")[0][0]
    assert 0 < made.size < size
    assert opened(tmp_path / "backup") == made
    assert made.database == ledger.name
    kept = {path.name for path in (tmp_path / "backup").rglob("*")} & {"log.pem", "texts.key"}
    assert not kept, "keys are kept elsewhere"
    elsewhere.append(started(tmp_path / "backup", tmp_path / "server"))
    with psycopg.connect(elsewhere[0].dsn(ledger.name)) as rows:
        for pause in (0.05, 0.3, 0.5, 0.7):
            before = rows.execute("SELECT count(*) FROM ledger.entry").fetchall()[0][0]
            rows.commit()
            restore = restoring(environment, elsewhere[0], ledger.name, tmp_path / "mirror")
            async with asyncio.timeout(20):
                while rows.execute("SELECT count(*) FROM ledger.entry").fetchall()[0][0] == before < size:
                    rows.commit()
                    await asyncio.sleep(0.01)
                    if restore.poll() is not None:
                        break
            rows.commit()
            await asyncio.sleep(pause / 10)
            restore.send_signal(signal.SIGKILL)
            restore.communicate()
        restore = restoring(environment, elsewhere[0], ledger.name, tmp_path / "mirror")
        out, err = await asyncio.to_thread(restore.communicate, timeout=60)
        assert restore.returncode == 0, err.decode()
        report = json.loads(out)
        assert (report["faults"], report["texts_missing"]) == ([], [])
        assert report["from_size"] > made.size, "it went on where the killed one was"
        found: dict[int, bytes] = dict(rows.execute(ENTRIES).fetchall())
    here = dict(ledger.rows(ENTRIES))
    assert {seq: found[seq] for seq in here} == here
    with Mirror.open(tmp_path / "mirror", settings.log_name) as mirror:
        assert mirror.size == report["size"] == len(found)


@pytest.mark.part11("11.10(c)")
async def test_a_backup_that_was_altered_is_noticed(
    settings: LedgerSettings, ledger: Ledger, everyone: Client, tmp_path: Path
) -> None:
    async with at_work(settings):
        await done(everyone, ledger, range(1))
    back_up(ledger.dsn(), tmp_path / "backup")
    victim = next(path for path in sorted((tmp_path / "backup" / BASE / "base").rglob("*")) if path.is_file())
    content = bytearray(victim.read_bytes() or b"x")
    content[-1] ^= 1
    shutil.copytree(tmp_path / "backup", tmp_path / "altered")
    (tmp_path / "altered" / victim.relative_to(tmp_path / "backup")).write_bytes(content)
    with pytest.raises(BackupFailed, match="pg_verifybackup"):
        opened(tmp_path / "altered")
    manifest = tmp_path / "backup" / BASE / "backup_manifest"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(BackupFailed, match="is not the one that was made"):
        opened(tmp_path / "backup")
    (tmp_path / "backup" / MANIFEST).unlink()
    with pytest.raises(BackupFailed, match="holds no backup"):
        opened(tmp_path / "backup")


def test_a_folder_with_something_in_it_is_not_a_place_for_a_backup(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    with pytest.raises(BackupFailed, match="is not empty"):
        back_up(ledger.dsn(), tmp_path)


def test_an_empty_ledger_has_nothing_to_back_up(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="the ledger is empty"):
        back_up(ledger.dsn(), tmp_path / "backup")


def test_programs_are_found_where_they_are_said_to_be(tmp_path: Path) -> None:
    assert Path(program("pg_basebackup")).exists()
    with pytest.raises(BackupFailed, match="pg_basebackup is not here"):
        program("pg_basebackup", tmp_path)
    assert "no log key" in WITHOUT
