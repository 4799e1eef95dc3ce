"""The load, in a process of its own: tasks through the SDK, closed loop or open loop. Prints one JSON object.

`python load.py URL SEED closed SECONDS IN_FLIGHT` keeps that many tasks in flight; `... open SECONDS RATE` submits RATE tasks a second.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Any

import tierproof
import uvloop
from no_op_tasks import no_op_task
from tierproof_contracts.result import Answered

PATIENCE = 60.0


async def one(fleet: tierproof.Fleet, number: int) -> tuple[str, float, float]:
    """Return a task's id, the seconds from before its submission until its release was heard, and when that was."""
    started = time.perf_counter()
    task = await fleet.submit(**no_op_task(number))
    result = await task.released(timeout=PATIENCE)
    if not isinstance(result.outcome, Answered):
        raise SystemExit(f"{task.task_id} was not answered: {result.outcome}")
    ended = time.perf_counter()
    return task.task_id, ended - started, ended


async def closed(fleet: tierproof.Fleet, seconds: float, in_flight: int) -> list[tuple[str, float, float]]:
    """Keep `in_flight` tasks going; what was begun in time is waited for."""
    numbers, until = itertools.count(), time.perf_counter() + seconds
    done: list[tuple[str, float, float]] = []

    async def again() -> None:
        while time.perf_counter() < until:
            done.append(await one(fleet, next(numbers)))

    await asyncio.gather(*(again() for _ in range(in_flight)))
    return done


async def opened(fleet: tierproof.Fleet, seconds: float, rate: float) -> list[tuple[str, float, float]]:
    """Submit at a fixed rate, whatever the answers do."""
    started, going = time.perf_counter(), []
    for number in range(round(seconds * rate)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        going.append(asyncio.create_task(one(fleet, number)))
    return list(await asyncio.gather(*going))


async def main(url: str, seed: str, loop: str, seconds: float, amount: float) -> dict[str, Any]:
    """Run one loop and return what was done; `within` counts releases inside the given time."""
    async with tierproof.connect(url, credentials=seed, patience=PATIENCE) as fleet:
        started, spent = time.perf_counter(), time.process_time()
        done = await (closed(fleet, seconds, int(amount)) if loop == "closed" else opened(fleet, seconds, amount))
        return {
            "tasks": len(done),
            "within": sum(ended <= started + seconds for _, _, ended in done),
            "latencies": [took for _, took, _ in done],
            "task_ids": [task_id for task_id, _, _ in done],
            "cpu_seconds": time.process_time() - spent,
        }


if __name__ == "__main__":
    _url, _seed, _loop, _seconds, _amount = sys.argv[1:]
    json.dump(uvloop.run(main(_url, _seed, _loop, float(_seconds), float(_amount))), sys.stdout)
