"""A service as a process: signals, crashes, a broker that goes and comes, a consumer that is gone."""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import nats
import psutil
import pytest
from tierproof_bus import Bus, BusSettings
from tierproof_bus.testing import until
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_embedded import keys
from tierproof_embedded import nats_server as embedded_nats
from tierproof_embedded.testing import NatsServer

Build = Callable[..., TaskSubmittedV1]
PROGRAM = Path(__file__).with_name("note_taking_router.py")

pytestmark = pytest.mark.requirement("BUS-delivery")


class Program:
    process: asyncio.subprocess.Process

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def book(self) -> list[str]:
        path = self._folder / "book"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self._folder / "log").read_text().splitlines()]

    def logged(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.log if line["event"] == event]

    async def code(self, seconds: float = 15.0) -> int:
        return await asyncio.wait_for(self.process.wait(), seconds)


@asynccontextmanager
async def running(server: NatsServer, folder: Path, **environment: str) -> AsyncIterator[Program]:
    own = {
        "TIERPROOF_NATS_URL": server.bare_url,
        "TIERPROOF_NKEY_SEED_FILE": str(server.seed_file("router")),
        "TIERPROOF_MONITORING_URL": f"http://127.0.0.1:{server.broker.monitor_port}",
        "TIERPROOF_PULL_SECONDS": "1",
        "TIERPROOF_WATCH_SECONDS": "0.5",
        "TIERPROOF_RECONNECT_SECONDS": "0.2",
        "TIERPROOF_HTTP_PORT": "0",
        "UNDER_TEST_BOOK": str(folder / "book"),
    }
    (folder / "log").touch()
    program = Program(folder)
    started_before = len(program.logged("service.started"))
    with (folder / "log").open("ab") as log:
        program.process = process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), env=os.environ | own | environment, stdout=log, stderr=log
        )
    try:
        await until(
            lambda: len(program.logged("service.started")) > started_before or process.returncode is not None, 20
        )
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sigterm_during_work_finishes_acknowledges_and_exits_0(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    async with running(broker, tmp_path, UNDER_TEST_SECONDS="1.5") as program:
        await acme.publish(submission())
        await until(lambda: program.book == ["start 1 1"])
        program.process.send_signal(signal.SIGTERM)
        assert await program.code() == 0
        assert program.book == ["start 1 1", "end 1 1"]
    client = await nats.connect(broker.url)
    info = await client.jetstream().consumer_info("TASK", "router--task-submitted")
    await client.close()
    assert (info.ack_floor.stream_seq, info.num_ack_pending) == (1, 0)


async def test_a_rolling_restart_leaves_no_message_waiting_for_its_ack_to_time_out(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    sent = 0
    for restart in range(2):
        async with running(broker, tmp_path, UNDER_TEST_SECONDS="0.2") as program:
            stop_at = restart * 8 + 8
            while sent < stop_at:
                await acme.publish(submission(str(sent)))
                sent += 1
            program.process.send_signal(signal.SIGTERM)
            assert await program.code() == 0
    async with running(broker, tmp_path) as program:
        await until(lambda: sum(line.startswith("end") for line in program.book) >= sent)
        assert {line.split()[2] for line in program.book} == {"1"}, "no delivery had to be repeated"


async def test_a_crash_in_the_handler_is_delivered_again(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    await acme.publish(submission())
    async with running(broker, tmp_path, UNDER_TEST_CRASH_FIRST="yes") as program:
        assert await program.code() == 9
    async with running(broker, tmp_path, UNDER_TEST_CRASH_FIRST="yes") as program:
        await until(lambda: "end 1 2" in program.book)
    assert program.book == ["start 1 1", "start 1 2", "end 1 2"]


async def test_handlers_go_on_after_the_broker_was_killed_without_a_restart(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    async with running(broker, tmp_path) as program:
        for round_ in range(3):
            await acme.publish(submission(f"before-{round_}"))
            await until(lambda: f"end {2 * round_ + 1} 1" in program.book)  # noqa: B023 - awaited at once
            broker.kill()
            await asyncio.sleep(0.5)
            broker.start()
            await acme.publish(submission(f"after-{round_}"))
            await until(lambda: any(line.startswith(f"end {2 * round_ + 2} ") for line in program.book))  # noqa: B023
        assert program.process.returncode is None
        program.process.send_signal(signal.SIGTERM)
        assert await program.code() == 0


@pytest.mark.parametrize("what", ["CONSUMER.DELETE.TASK.router--task-submitted", "STREAM.DELETE.TASK"])
async def test_a_lost_consumer_ends_the_process_within_ten_seconds(
    what: str, broker: NatsServer, tmp_path: Path
) -> None:
    async with running(broker, tmp_path, TIERPROOF_WATCH_SECONDS="2") as program:
        client = await nats.connect(broker.url)
        await client.request(f"$JS.API.{what}", b"")
        await client.close()
        assert await program.code(10) == 70
        assert program.logged("consumer.lost")


async def test_a_missing_consumer_refuses_the_start_and_says_what_to_do(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with running(nats_server, tmp_path) as program:
        assert await program.code() == 78
        assert "provision" in str(program.logged("service.refused_to_start")[0]["reason"])


def fetched(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http port
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_health_and_metrics_tell_what_is_going_on(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    async with running(broker, tmp_path) as program:
        url = f"http://127.0.0.1:{program.logged('health.served')[0]['port']}"
        await acme.publish(submission())
        await until(lambda: "end 1 1" in program.book)
        await asyncio.sleep(0.2)
        assert await asyncio.to_thread(fetched, f"{url}/livez") == (200, "alive")
        assert await asyncio.to_thread(fetched, f"{url}/readyz") == (200, "ready")
        _, metrics = await asyncio.to_thread(fetched, f"{url}/metrics")
        assert 'tierproof_handled_total{ending="done",event="task.submitted.v1"} 1.0' in metrics
        broker.kill()
        await asyncio.sleep(0.5)
        assert (await asyncio.to_thread(fetched, f"{url}/readyz"))[0] == 503
        assert (await asyncio.to_thread(fetched, f"{url}/livez"))[0] == 200, "a restart would not bring the broker back"


async def test_logs_hold_no_text_of_a_task(broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as program:
        await acme.publish(submission(text="the patient's name"))
        await until(lambda: "end 1 1" in program.book)
        assert "patient" not in (tmp_path / "log").read_text()
        assert all(line["service"] == "router" for line in program.log)


async def test_a_handler_that_outlasts_the_grace_is_cancelled_and_its_message_goes_back_at_once(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    async with running(broker, tmp_path, UNDER_TEST_SECONDS="60", TIERPROOF_GRACE_SECONDS="1") as program:
        await acme.publish(submission())
        await until(lambda: program.book == ["start 1 1"])
        program.process.send_signal(signal.SIGTERM)
        assert await program.code(5) == 0
    async with running(broker, tmp_path) as program:
        await until(lambda: "end 1 2" in program.book, 1.5)  # well before ack_wait has passed


async def test_handlers_go_on_after_the_broker_was_frozen_until_its_connections_went_stale(
    broker: NatsServer, acme: Bus, submission: Build, tmp_path: Path
) -> None:
    async with running(broker, tmp_path, TIERPROOF_PING_SECONDS="1") as program:
        await acme.publish(submission("before"))
        await until(lambda: "end 1 1" in program.book)
        assert broker.child.pid is not None
        frozen = psutil.Process(broker.child.pid)
        frozen.suspend()
        await until(lambda: bool(program.logged("broker.lost")), 15)
        await asyncio.sleep(1.0)
        frozen.resume()
        await until(lambda: bool(program.logged("broker.found")), 15)
        await acme.publish(submission("after"))
        await until(lambda: any(line.startswith("end 2 ") for line in program.book), 15)
        assert program.process.returncode is None


async def test_a_broker_that_refuses_us_for_a_while_is_tried_again_for_ever(
    broker: NatsServer, settings: Callable[..., BusSettings], submission: Build, tmp_path: Path
) -> None:
    async with running(broker, tmp_path) as program:
        broker.stop()
        embedded_nats.command(replace(broker.broker, users=()))
        broker.start()
        await until(
            lambda: any("uthorization" in str(line["complaint"]) for line in program.logged("broker.complained")), 15
        )
        await asyncio.sleep(1.0)
        broker.stop()
        embedded_nats.command(broker.broker)
        broker.start()
        await until(lambda: bool(program.logged("broker.found")), 15)
        async with Bus.connect("app-acme", settings("app-acme")) as acme:
            await acme.publish(submission())
        await until(lambda: "end 1 1" in program.book, 15)


async def test_a_broker_that_does_not_know_us_refuses_the_start(broker: NatsServer, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.nk"
    foreign.write_text(keys.user_seed(b"\x05" * 32))
    async with running(broker, tmp_path, TIERPROOF_NKEY_SEED_FILE=str(foreign)) as program:
        assert await program.code() == 78
        assert "TIERPROOF_NKEY_SEED_FILE" in str(program.logged("service.refused_to_start")[0]["reason"])
