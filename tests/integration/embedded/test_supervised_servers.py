"""The supervisor with a real broker and a real database: restart, stop, second start, and its own death."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import nats
import psutil
import psycopg
import pytest
from nats.aio.client import Client as NATS  # noqa: N814 - the name that its documentation uses
from tierproof_embedded import keys, ports, servers
from tierproof_embedded.errors import AlreadyRunning, ExitedEarly, NotReadyInTime, PortTaken
from tierproof_embedded.layout import Layout
from tierproof_embedded.process import Command, remember
from tierproof_embedded.running import supervised
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part, Supervisor

NAMES = ("nats", "nats_monitor", "postgres")
PATIENCE = 30.0


def settings_of(home: Path) -> EmbeddedSettings:
    return EmbeddedSettings(home=home, restart_limit=2, restart_first_pause=0.05, nats_largest_store=2**28)


class Two:
    """Broker and database in one state folder."""

    def __init__(self, home: Path) -> None:
        self.settings = settings_of(home)
        self.layout: Layout = self.settings.layout
        self.layout.prepare()
        self.ports = ports.keep(self.layout.state, NAMES)
        self.cluster = servers.cluster_of(self.layout, self.settings, self.ports)
        broker = servers.broker_of(self.layout, self.settings, self.ports)
        self.parts = [servers.broker_part(broker), servers.database_part(self.cluster)]
        self.url = broker.url

    def run(self) -> AbstractAsyncContextManager[Supervisor]:
        return supervised(self.parts, self.layout, self.settings.tuning, PATIENCE)

    async def connect(self) -> NATS:
        seed = str(keys.seed_file(self.layout.keys, "provisioner"))
        return await nats.connect(self.url, nkeys_seed=seed, inbox_prefix=b"_INBOX_provisioner", allow_reconnect=False)


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.02)


def family_of(supervisor: Supervisor, parts: tuple[str, ...] = ("nats", "postgres")) -> list[psutil.Process]:
    pids = [pid for part in parts if (pid := supervisor.pid_of(part)) is not None]
    return [each for pid in pids for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]


def shared_memory(family: list[psutil.Process]) -> set[Path]:
    """Return the segments that these processes have mapped, and no others' ones."""
    mapped = {Path(region.path) for each in family for region in each.memory_maps(grouped=False)}
    return {path for path in mapped if path.parent == Path("/dev/shm")}


@pytest.mark.requirement("BUS-delivery")
async def test_killed_servers_come_back_with_what_they_had(tmp_path: Path) -> None:
    two = Two(tmp_path)
    async with two.run() as stack:
        await (await two.connect()).close()
        with psycopg.connect(two.cluster.dsn()) as session:
            session.execute("CREATE TABLE t AS SELECT 7 AS n")
        for part in ("nats", "postgres"):
            before = stack.pid_of(part)
            assert before is not None
            os.kill(before, signal.SIGKILL)
            await until(lambda part=part, before=before: stack.pid_of(part) not in (None, before))  # type: ignore[misc]
            await until(lambda: stack.all_ready)
        await (await two.connect()).close()
        with psycopg.connect(two.cluster.dsn()) as session:
            assert session.execute("SELECT n FROM t").fetchone() == (7,)


async def test_a_stop_leaves_no_process_and_no_shared_memory(tmp_path: Path) -> None:
    two = Two(tmp_path)
    async with two.run() as stack:
        family = family_of(stack)
        assert len(family) > 2
        segments = shared_memory(family)
        assert segments
    assert [each for each in family if each.is_running()] == []
    assert [path for path in segments if path.exists()] == []
    assert sorted(path.name for path in two.layout.run.iterdir()) == ["supervisor.lock"]


async def test_a_second_start_keeps_ports_keys_and_data(tmp_path: Path) -> None:
    first = Two(tmp_path)
    async with first.run():
        with psycopg.connect(first.cluster.dsn()) as session:
            session.execute("CREATE TABLE t AS SELECT 7 AS n")
    second = Two(tmp_path)
    began = time.monotonic()
    async with second.run():
        took = time.monotonic() - began
        with psycopg.connect(first.cluster.dsn()) as session:
            assert session.execute("SELECT n FROM t").fetchone() == (7,)
    assert second.ports == first.ports
    assert took < 5


async def test_without_the_state_folder_everything_begins_anew(tmp_path: Path) -> None:
    home = tmp_path / "state"
    first = Two(home)
    async with first.run():
        pass
    shutil.rmtree(home)
    second = Two(home)
    assert second.cluster.password != first.cluster.password
    async with second.run():
        with psycopg.connect(second.cluster.dsn()) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)


async def test_one_folder_has_one_supervisor(tmp_path: Path) -> None:
    two = Two(tmp_path)
    async with two.run() as stack:
        with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\); `tierproof down` stops it"):
            async with two.run():
                pass
        assert stack.all_ready


async def test_a_port_that_another_program_took_is_named(tmp_path: Path) -> None:
    two = Two(tmp_path)
    thief = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", two.ports["nats"])
    async with thief:
        with pytest.raises(PortTaken, match="of nats is in use by another program"):
            async with two.run():
                pass


async def test_a_part_that_cannot_start_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    broken = Part(
        name="broken", command=lambda: Command(argv=("sh", "-c", "echo no licence; exit 3")), ready=lambda: False
    )
    with pytest.raises(ExitedEarly, match=r"(?s)broken ended with code 3.*no licence"):
        async with supervised([broken], settings.layout, settings.tuning, PATIENCE):
            pass


async def test_a_part_waits_for_what_it_needs(tmp_path: Path) -> None:
    settings, mark = settings_of(tmp_path), tmp_path / "mark"
    first = Part(name="first", once=True, command=lambda: Command(argv=("sh", "-c", f"sleep 0.3; touch {mark}")))
    second = Part(name="second", once=True, needs=("first",), command=lambda: Command(argv=("test", "-e", str(mark))))
    async with supervised([second, first], settings.layout, settings.tuning, PATIENCE) as stack:
        assert stack.states["second"].failures == 0


async def test_a_part_that_runs_without_working_is_started_again(tmp_path: Path) -> None:
    settings, stuck = settings_of(tmp_path).model_copy(update={"pulse": 0.05, "silent_looks": 3}), tmp_path / "stuck"
    sleeper = Part(name="sleeper", command=lambda: Command(argv=("sleep", "60")), alive=lambda: not stuck.exists())
    async with supervised([sleeper], settings.layout, settings.tuning, PATIENCE) as stack:
        first = stack.pid_of("sleeper")
        stuck.touch()
        await until(lambda: stack.states["sleeper"].failures == 1)
        stuck.unlink()
        await until(lambda: stack.all_ready)
        assert stack.pid_of("sleeper") != first


OUTLIVED = """
import sys
from pathlib import Path
from tests_two import Two
from tierproof_embedded.supervisor import Supervisor
two = Two(Path(sys.argv[1]))
Supervisor(two.parts, two.layout, two.settings.tuning).run()
"""


async def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "tests_two.py")
    with (tmp_path / "out").open("wb") as out:
        supervisor = subprocess.Popen(  # noqa: ASYNC220 - it is killed, not awaited
            [sys.executable, "-c", OUTLIVED, str(tmp_path / "state")],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdout=out,
            stderr=out,
        )
    layout = Layout.at(tmp_path / "state")
    try:
        await until(lambda: layout.status.exists() and '"ready": true' in layout.status.read_text())
        family = psutil.Process(supervisor.pid).children(recursive=True)
        assert {"nats-server", "postgres"} <= {each.name() for each in family}
    finally:
        supervisor.kill()
        supervisor.wait()
    await until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family), 10)
    async with Two(tmp_path / "state").run() as stack:
        assert stack.all_ready


async def test_a_killed_supervisors_status_is_not_believed(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.layout.status.write_text('{"ready": true, "parts": {"nats": {"phase": "ready"}}}')
    waiting = Part(name="slow", command=lambda: Command(argv=("sleep", "60")), ready=lambda: False)
    with pytest.raises(NotReadyInTime, match="slow"):
        async with supervised([waiting], two.layout, two.settings.tuning, 0.5):
            pass
    assert not two.layout.status.exists()


async def test_what_an_earlier_supervisor_left_running_is_ended_first(tmp_path: Path) -> None:
    two = Two(tmp_path)
    async with two.run():
        pass
    stray = subprocess.Popen(["sleep", "300"], start_new_session=True)  # noqa: ASYNC220 - a process to be found, not awaited
    remember(two.layout.pid_of("nats"), stray.pid)
    async with two.run():
        assert stray.poll() is not None
