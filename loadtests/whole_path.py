"""Tasks per second over the whole way, what the way adds to the model's own time, and how near that is to the floor.

All services, the synced broker and the durable ledger, with a model that answers at once behind the same Triton interface. In the same
run, before and after, the floor: bare clients that do the same durable publications, appends and model calls (shared/floor.py).
`python loadtests/whole_path.py [--seconds 60] [--in-flight 32]`
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from shared import costs, sample
from tierproof_contracts.ids import request_id_of
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack

HERE = Path(__file__).parent
TARGET_TASKS, TARGET_RATIO = 50.0, 0.25
SERVERS = ("nats", "first-steps", "postgres", "ledger-migration", "triton")
OPEN_SECONDS, OPEN_RATE = 20, 10
WARM_SECONDS, IDLE_SECONDS = 5, 5
SAMPLED = 50


async def in_a_process(*arguments: str) -> Any:  # noqa: ANN401 - what the program prints
    """Run a program of shared/ and return the JSON that it prints."""
    command = [sys.executable, *arguments]
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=HERE / "shared")
    printed, _ = await running.communicate()
    if running.returncode != 0:
        raise SystemExit(f"{arguments[0]} failed")
    return json.loads(printed)


async def load(stack: Stack, loop: str, seconds: float, amount: float) -> Any:  # noqa: ANN401 - as in_a_process
    """Drive tasks through the SDK."""
    seed = str(stack.seed_file("app-demo"))
    return await in_a_process("load.py", stack.nats_url, seed, loop, str(seconds), str(amount))


async def sampled(settings: EmbeddedSettings, in_flight: int) -> dict[str, Any]:
    """Return what one task leaves behind, on a stack that is started for it: rows under load, messages of the last task."""
    async with running_stack(settings) as stack:
        before = sample.table_sizes(stack.owner_dsn)
        done = await load(stack, "closed", WARM_SECONDS, in_flight)
        await asyncio.sleep(2)
        rows = sample.rows_per_task(before, sample.table_sizes(stack.owner_dsn), done["tasks"])
        task_id = (await load(stack, "open", 1, 1))["task_ids"][0]
        messages = await sample.messages_of(stack, task_id)
    requests = [request_id_of(task_id, step, 1) for step in ("inference", "verification")]
    return {"messages": messages, "rows": rows, "ids": [task_id.rsplit("_", 1)[1], *requests]}


async def floor(settings: EmbeddedSettings, spec: dict[str, Any], seconds: float, in_flight: int) -> dict[str, Any]:
    """Run one half of the floor on servers that hold the same streams and settings, and nothing else."""
    async with running_stack(settings) as stack:
        given = spec | {
            "nats_url": stack.nats_url,
            "triton_url": stack.endpoints.triton_url,
            "dsn": stack.owner_dsn,
            "seeds": {user: str(stack.seed_file(user)) for user in {message["user"] for message in spec["messages"]}},
            "seconds": seconds,
            "in_flight": in_flight,
        }
        file = settings.home / "floor.json"
        file.write_text(json.dumps(given))
        before, load_before = costs.cpu_seconds(stack), machine.load()
        measured: dict[str, Any] = await in_a_process("floor.py", str(file))
        tasks = max(1, round(measured["tasks_per_second"] * seconds))
        spent = costs.spent_between(before, costs.cpu_seconds(stack), tasks)
    return measured | {"server_cpu_ms_per_task": spent, "load_average": load_before}


async def whole(settings: EmbeddedSettings, seconds: float, in_flight: int) -> dict[str, Any]:
    """Measure the whole path: idle, open loop for latency, closed loop for throughput."""
    async with running_stack(settings) as stack:
        await load(stack, "closed", WARM_SECONDS, in_flight)
        await asyncio.sleep(2)
        before, started = costs.cpu_seconds(stack), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        idle_spent = costs.cpu_seconds(stack)
        elapsed = time.perf_counter() - started
        idle = {name: round(100 * (idle_spent[name] - before[name]) / elapsed, 2) for name in before}
        memory, load_before = costs.memory_mib(stack), machine.load()
        slow = await load(stack, "open", OPEN_SECONDS, OPEN_RATE)
        steps = await sample.step_milliseconds(stack, slow["task_ids"][-SAMPLED:])
        before, machine_before, started = costs.cpu_seconds(stack), costs.machine_seconds(), time.perf_counter()
        fast = await load(stack, "closed", seconds, in_flight)
        elapsed, machine_after = time.perf_counter() - started, costs.machine_seconds()
        spent = costs.spent_between(before, costs.cpu_seconds(stack), fast["tasks"])
    spent["load (SDK)"] = round(1000 * fast["cpu_seconds"] / fast["tasks"], 2)
    ours = sum(spent.values()) * fast["tasks"] / 1000
    return {
        "tasks_per_second": round(fast["within"] / seconds, 2),
        "tasks": fast["tasks"],
        "latency_ms_in_closed_loop": quantiles(fast["latencies"]),
        "latency_ms_in_open_loop": quantiles(slow["latencies"]),
        "open_loop_steps_ms_p50": steps,
        "cpu_ms_per_task": spent,
        "cores_in_closed_loop": costs.cores_between(machine_before, machine_after, ours, elapsed),
        "idle_cpu_percent_of_a_core": idle,
        "idle_memory_pss_mib": memory,
        "load_average": load_before,
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    return {"p50": round(1000 * statistics.median(seconds), 1), "p99": round(1000 * p99(seconds), 1)}


def p99(values: list[float]) -> float:
    """Return the value that one in a hundred exceeds."""
    return statistics.quantiles(values, n=100, method="inclusive")[98]


async def answer(seconds: float, in_flight: int) -> dict[str, Any]:
    """Return the whole result."""
    described = machine.describe()
    with tempfile.TemporaryDirectory() as scratch:
        bare = EmbeddedSettings(home=Path(scratch) / "floor", model_engine="noop", only=SERVERS)
        full = EmbeddedSettings(home=Path(scratch) / "whole", model_engine="noop")
        spec = await sampled(full, in_flight)
        halves = [await floor(bare, spec, seconds / 4, in_flight)]
        measured = await whole(full, seconds, in_flight)
        halves.append(await floor(bare, spec, seconds / 4, in_flight))
    call = statistics.mean(half["model_call_alone_ms_p50"] for half in halves)
    ratio = measured["tasks_per_second"] / statistics.mean(half["tasks_per_second"] for half in halves)
    added = {name: round(value - call, 1) for name, value in measured["latency_ms_in_open_loop"].items()}
    return {
        "what": f"{in_flight} tasks in flight for {seconds:g} s; {OPEN_RATE} tasks/s for {OPEN_SECONDS} s for latency; "
        "added latency: from before submitting until the release was heard, without the model call's own median",
        "machine": described,
        "publications_per_task": len(spec["messages"]),
        "published_bytes_per_task": sum(len(message["content"]) * 3 // 4 for message in spec["messages"]),
        "rows_per_task": len(spec["rows"]),
        "whole_path": measured | {"added_latency_ms": added},
        "floor": halves,
        "ratio_to_floor": round(ratio, 3),
        "targets": {
            "tasks_per_second": {"at_least": TARGET_TASKS, "met": measured["tasks_per_second"] >= TARGET_TASKS},
            "ratio_to_floor": {"at_least": TARGET_RATIO, "met": ratio >= TARGET_RATIO},
        },
    }


def report(result: dict[str, Any]) -> None:
    """Print what a person wants to know: how fast, where the time goes, what would double it."""
    way, cores = result["whole_path"], result["machine"]["cores"]
    total = sum(way["cpu_ms_per_task"].values())
    floors = " and ".join(f"{half['tasks_per_second']}" for half in result["floor"])
    print(
        f"{way['tasks_per_second']} tasks/s; floor {floors} tasks/s before and after; ratio {result['ratio_to_floor']}"
    )
    print(f"added latency, ms: {way['added_latency_ms']}; load average {way['load_average']}")
    print(f"{result['publications_per_task']} synced publications and {result['rows_per_task']} rows a task")
    print(f"CPU, ms a task ({total:.1f} in all: {cores} cores could do {1000 * cores / total:.0f} tasks/s):")
    for name, spent in way["cpu_ms_per_task"].items():
        print(
            f"  {name:24} {spent:6.2f}  {100 * spent / total:3.0f} %   idle {way['idle_memory_pss_mib'].get(name, 0):6.1f} MiB"
        )
    print("a quiet task waits, ms p50, until the broker holds it as:")
    for name, milliseconds in way["open_loop_steps_ms_p50"].items():
        print(f"  {name:24} {milliseconds:6.2f}")
    spent = way["cores_in_closed_loop"]
    print(f"cores: {spent}; {'CPU' if spent['idle'] + spent['iowait'] < 0.15 * cores else 'waiting'} is the limit")
    dearest = ", ".join(name for name, _ in list(way["cpu_ms_per_task"].items())[:3])
    print(f"twice as many tasks: half the CPU of all parts ({dearest} first), or twice the cores")


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--in-flight", type=int, default=32)
    given = parser.parse_args()
    result = asyncio.run(answer(given.seconds, given.in_flight))
    machine.write("whole_path", result)
    report(result)


if __name__ == "__main__":
    main()
