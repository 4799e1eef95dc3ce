"""The drill: passes on a stack that could be restored, fails on one that could not, and leaves the stack as it was."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import pytest_asyncio
from tierproof.connection import connected
from tierproof_contracts.topology import STREAMS
from tierproof_embedded import drill as drills
from tierproof_embedded.drill import DrillReport, Site, drill
from tierproof_embedded.errors import AlreadyRunning
from tierproof_embedded.restoration import restored
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack
from tierproof_evidence_ledger.backup import BackupFailed, back_up
from tierproof_evidence_ledger.elsewhere import DataLoss
from tierproof_evidence_ledger.witnessing import Outgrown

pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTS = ("router", "evidence-ledger")  # and what these need: broker, database, witness


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Run the parts of a stack that decline a task and record it."""
    settings = EmbeddedSettings(home=tmp_path_factory.mktemp("drilled"), model_engine="noop", only=PARTS)
    async with running_stack(settings) as running:
        yield running


def _site(stack: Stack) -> Site:
    return Site(
        layout=stack.layout,
        nats_url=stack.nats_url,
        owner_dsn=stack.owner_dsn,
        tenant="demo",
        log_name=stack.settings.log_name,
    )


@pytest.fixture
def site(stack: Stack) -> Site:
    return _site(stack)


def silent(_step: str, _seconds: float) -> None: ...


def _rows(stack: Stack, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.owner_dsn) as rows:
        return rows.execute(query.encode()).fetchall()


async def _messages(stack: Stack) -> dict[str, int]:
    """Return how many messages each stream has been given."""
    last = {}
    async with connected(stack.nats_url, credentials=stack.seed_file("auditor")) as auditor:
        for name in {"TASK", "RESULT", "DEAD"} & {stream.name for stream in STREAMS}:
            reply = await auditor.request(f"$JS.API.STREAM.INFO.{name}", b"")
            last[name] = json.loads(reply.data)["state"]["last_seq"]
    return last


@pytest.mark.requirement("LED-append")
@pytest.mark.part11("11.10(c)")
async def test_a_drill_restores_what_was_told_and_writes_nothing_of_the_stacks(stack: Stack, site: Site) -> None:
    steps: list[str] = []
    before = _database_servers()
    report = await drill(site, lambda step, _seconds: steps.append(step), tasks=30)
    assert _database_servers() == before, "the scratch server is gone"
    assert report.passed, report
    assert (report.rpo, report.faults, report.texts_missing, report.root_agrees) == (0, [], 0, True)
    assert list(report.witnesses) == [stack.settings.witness_name]
    assert report.restored >= report.size >= report.published > report.backup_size > 0
    assert report.mirrored > 0, "the backup alone would not have been enough"
    assert 0 < report.rto < 60
    assert steps[-1] == "restore: result verified"
    tasks = _rows(stack, "SELECT count(*) FROM ledger.outcome")[0][0]
    assert await _messages(stack) == {"TASK": 3 * tasks, "RESULT": tasks, "DEAD": 0}
    assert _rows(stack, "SELECT count(*) FROM ledger.entry WHERE (said).event_type = 'ledger.restored.v1'") == [(0,)]
    assert _rows(stack, "SELECT count(*) FROM ledger.term") == [(1,)], "the sequencer was not disturbed"


def _database_servers() -> set[int]:
    """Return the servers that this process has started, by the process ids of their postmasters."""
    ours = [child for child in psutil.Process().children(recursive=True) if child.name() == "postgres"]
    return {child.pid for child in ours if child.ppid() not in {other.pid for other in ours}}


async def test_a_mirror_that_lags_behind_what_was_told_fails(
    stack: Stack, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await drill(site, silent, tasks=4, keep=tmp_path / "first")
    assert first.passed, first
    old = tmp_path / "old"
    shutil.copytree(stack.layout.mirror, old)

    def lagging(_folder: Path, to: Path) -> None:
        shutil.copytree(old, to)

    monkeypatch.setattr(drills, "copied", lagging)
    with pytest.raises(DataLoss, match="entries were published, and database and mirror hold"):
        await drill(site, silent, tasks=60)


async def test_the_command_prints_numbers_and_exits_with_them(stack: Stack, tmp_path: Path) -> None:
    tierproof = Path(sys.executable).with_name("tierproof")
    command = [str(tierproof), "ledger", "drill", "--home", str(stack.layout.home), "--tasks", "6", "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    report = json.loads(out)
    assert (report["ok"], report["rpo"]) == (True, 0)
    assert b"restore: entries put back" in err
    backup = [str(tierproof), "ledger", "backup", "--home", str(stack.layout.home), "--to", str(tmp_path / "backup")]
    process = await asyncio.create_subprocess_exec(*backup, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"no log key" in out


async def test_a_stack_whose_database_is_gone_comes_back_by_one_command(tmp_path: Path) -> None:
    settings = EmbeddedSettings(home=tmp_path / "home", model_engine="noop", only=PARTS)
    async with running_stack(settings) as running:
        home = _site(running)
        await drills._work(home, 5)
        await asyncio.to_thread(back_up, running.owner_dsn, tmp_path / "backup")
        await drills._work(home, 15)
        before = _rows(running, "SELECT seq, canonical FROM ledger.entry")
    shutil.rmtree(settings.layout.postgres)
    with pytest.raises(BackupFailed, match="holds no backup"):
        await restored(settings, tmp_path, silent)
    report = await restored(settings, tmp_path / "backup", silent)
    assert (report.faults, report.taken, report.texts_missing) == ([], [], [])
    assert report.mirrored > 0
    async with running_stack(settings) as running:
        assert set(before) <= set(_rows(running, "SELECT seq, canonical FROM ledger.entry"))
        await drills._work(home, 5)
        tasks = _rows(running, "SELECT count(*) FROM ledger.outcome")[0][0]
        assert (tasks, (await _messages(running))["RESULT"]) == (25, 25)
        with pytest.raises(AlreadyRunning):
            await restored(settings, tmp_path / "backup", silent)


@pytest.mark.requirement("LED-proof")
async def test_a_witness_that_knows_more_than_is_left_forbids_a_restore(tmp_path: Path) -> None:
    """Database and mirror from yesterday, and a new broker: nobody but the witness remembers today."""
    settings = EmbeddedSettings(home=tmp_path / "home", model_engine="noop", only=PARTS)
    async with running_stack(settings) as running:
        home = _site(running)
        await drills._work(home, 5)
        await asyncio.to_thread(back_up, running.owner_dsn, tmp_path / "backup")
        shutil.copytree(running.layout.mirror, tmp_path / "old")
        await drills._work(home, 15)
        await _quiet(running)
        known = _rows(running, "SELECT max(size) FROM ledger.published_checkpoint")[0][0]
    shutil.rmtree(settings.layout.mirror)
    shutil.copytree(tmp_path / "old", settings.layout.mirror)
    shutil.rmtree(settings.layout.nats / "store")
    with pytest.raises(Outgrown, match=rf"has cosigned {known} entries, and here are \d+: nothing may be appended"):
        await restored(settings, tmp_path / "backup", silent)


async def _quiet(stack: Stack) -> None:
    """Wait until the newest entry is published."""
    open_end = "SELECT (SELECT max(seq) + 1 FROM ledger.entry) > (SELECT max(size) FROM ledger.published_checkpoint)"
    async with asyncio.timeout(10):
        while _rows(stack, open_end)[0][0]:  # noqa: ASYNC110 - a database is polled
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("wrong", "passed"),
    [
        ({}, True),
        ({"rpo": 1}, False),
        ({"root_agrees": False}, False),
        ({"faults": ["x"]}, False),
        ({"witnesses": {}}, False),
    ],
)
async def test_each_thing_that_is_wrong_fails_a_drill(wrong: dict[str, Any], passed: bool) -> None:  # noqa: FBT001
    report = DrillReport(**{"root_agrees": True, "witnesses": {"w": 1}, "quorum": 1, **wrong})
    assert report.passed is passed
    assert report.to_json()["ok"] is passed
