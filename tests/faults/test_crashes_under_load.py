"""Every part is killed under load; every submitted task still ends exactly once, and the books are right."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
import tierproof
from tierproof_embedded.stack import Stack

from tests.faults.books import Auditor, Books, check_books
from tests.faults.load import submit_surely, task, under_load

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.requirement("BUS-delivery"),
    pytest.mark.timeout(240),
]
PATIENCE = 90.0


async def settle(stack: Stack, submitted: set[str]) -> Books:
    await stack.ready(60)
    async with Auditor(stack.nats_url, str(stack.seed_file("provisioner")), stack.owner_dsn) as auditor:
        return await check_books(auditor, patience=PATIENCE, submitted=submitted)


def kill(stack: Stack, part: str) -> None:
    pid = stack.pid_of(part)
    assert pid is not None, f"{part} does not run"
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("part", ["router", "inference-worker-s", "verifier", "evidence-ledger", "nats", "triton"])
async def test_a_part_is_killed_under_load(stack: Stack, part: str) -> None:
    async def fault() -> None:
        kill(stack, part)

    submitted = await under_load(stack, fault)
    books = await settle(stack, submitted)
    answered = sum(books.released[each] == "answered" for each in submitted)
    assert answered >= len(submitted) * 0.5, f"only {answered} of {len(submitted)} answered after killing {part}"


@pytest.mark.parametrize("part", ["router", "evidence-ledger"])
async def test_a_part_is_killed_again_and_again(stack: Stack, part: str) -> None:
    async def fault() -> None:
        for _ in range(4):
            if stack.pid_of(part) is not None:
                kill(stack, part)
            await asyncio.sleep(1.5)

    await settle(stack, await under_load(stack, fault, tasks=80))


async def test_postgres_is_down_for_twenty_seconds(stack: Stack) -> None:
    """Nothing is released meanwhile: the system fails closed. Everything is released afterwards."""
    released_while_down: list[str] = []

    async def fault() -> None:
        until = time.monotonic() + 20
        async with tierproof.connect(stack.nats_url, credentials=stack.seed_file("app-demo")) as fleet:
            heard = asyncio.create_task(_hear(fleet, released_while_down))
            kill(stack, "postgres")
            await asyncio.sleep(1.5)  # what was committed just before may still be on its way
            released_while_down.clear()
            while time.monotonic() < until:
                pid = stack.pid_of("postgres")
                if pid is not None:
                    _kill_family(pid)
                await asyncio.sleep(0.02)
            heard.cancel()

    submitted = await under_load(stack, fault, tasks=40)
    assert len(released_while_down) <= 3, "results came out although the ledger could not commit"
    await settle(stack, submitted)


async def _hear(fleet: tierproof.Fleet, heard: list[str]) -> None:
    async for result in fleet.results():
        heard.append(result.released.task_id)  # noqa: PERF401 - the caller reads the list while it grows


def _kill_family(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _stubs(stack: Stack) -> Iterator[psutil.Process]:
    triton = stack.pid_of("triton")
    assert triton is not None
    for child in psutil.Process(triton).children(recursive=True):
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # one that is ending while we look
            if "tier_s" in " ".join(child.cmdline()):
                yield child


@pytest.mark.parametrize("hurt", ["stopped", "killed"])
async def test_the_stub_of_the_model_server_hangs_or_dies(stack: Stack, hurt: str) -> None:
    async def fault() -> None:
        stubs = list(_stubs(stack))
        assert stubs
        for stub in stubs:
            stub.suspend() if hurt == "stopped" else stub.kill()
        await asyncio.sleep(4)
        for stub in stubs:
            if stub.is_running():
                stub.resume()

    await settle(stack, await under_load(stack, fault, tasks=40))


async def test_no_worker_for_a_tier_ends_at_the_deadline(stack: Stack) -> None:
    """A wrong answer escalates to tier m, which has no worker here."""
    async with tierproof.connect(stack.nats_url, credentials=stack.seed_file("app-demo")) as fleet:
        task_id = await submit_surely(fleet, task(right=False, time_allowed=6))
        result = await fleet.result_of(task_id, 30)
    assert (result.outcome.status, getattr(result.outcome, "code", "")) == ("abstained", "deadline")
    await settle(stack, {task_id})


async def test_everything_is_killed_at_once(stack: Stack) -> None:
    async def fault() -> None:
        for part in ("router", "inference-worker-s", "verifier", "evidence-ledger", "nats"):
            kill(stack, part)

    await settle(stack, await under_load(stack, fault))
