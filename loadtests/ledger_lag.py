"""How long after it was stored in JetStream an event is durable in the ledger, and how long until a cosigned checkpoint covers it.

Events come at a given rate; the broker syncs every message, PostgreSQL every commit; witness and mirror as in ledger_append.py,
which measures the same ledger over full streams. Others than the ledger tell both ends: the broker when it stored an event, and a
connection that looks every `LOOK` seconds which checkpoints it can read. So no lag is told too short, and each up to one look too long.
`python loadtests/ledger_lag.py [--seconds 60] [--rates 1000 3000]`
"""

import argparse
import asyncio
import bisect
import itertools
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ledger_stages
import machine
import psutil
import psycopg
from ledger_append import (
    BATCH,
    PAUSE,
    READ,
    TARGET_LAG_MS,
    Servers,
    cpu_of,
    filled,
    in_a_process,
    ledger_of,
    program,
    witness_of,
)
from tierproof_embedded.ports import free_ports

EVENTS_OF_A_TASK, WARM_TASKS = 7, 20
LOOK, PATIENCE = 0.01, 60.0
SIZES = """
    SELECT (SELECT coalesce(max(size), 0) FROM ledger.checkpoint),
           (SELECT coalesce(max(size), 0) FROM ledger.published_checkpoint)"""
STORED = """
    SELECT seq, extract(epoch FROM (ledger.json_of(canonical) ->> 'received_at')::timestamptz)::float8
    FROM ledger.entry WHERE (said).kind = 'event' AND seq >= %s ORDER BY seq"""

Step = tuple[float, int]


class Watch:
    """Looks from a connection of its own which checkpoints are committed: (time, size) whenever one of the two sizes has grown."""

    def __init__(self, dsn: str) -> None:
        self.durable: list[Step] = []
        self.published: list[Step] = []
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, args=(dsn,))
        self._looking.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._looking.join()

    def _look(self, dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as rows:
            while not self._ended.wait(LOOK):
                sizes = rows.execute(SIZES).fetchall()[0]
                now = time.time()
                for steps, size in zip((self.durable, self.published), sizes, strict=True):
                    if size and (not steps or size > steps[-1][1]):
                        steps.append((now, size))


def asked(dsn: str, question: str, *given: object) -> list[Any]:
    """Return the rows that the database answers."""
    with psycopg.connect(dsn, autocommit=True) as rows:
        return rows.execute(question.encode(), given).fetchall()


def lags(stored: list[tuple[int, float]], steps: list[Step]) -> dict[str, Any]:
    """Return p50, p99 and maximum, in ms, of the time from storing an entry's event to the first step that covers the entry."""
    sizes = [size for _, size in steps]
    places = [(bisect.bisect_right(sizes, seq), at) for seq, at in stored]
    late = [1000 * (steps[place][0] - at) for place, at in places if place < len(steps)]
    gaps = [1000 * (after[0] - before[0]) for before, after in itertools.pairwise(steps)]
    return {
        "p50": round(statistics.median(late)),
        "p99": round(statistics.quantiles(late, n=100, method="inclusive")[98]),
        "max": round(max(late)),
        "uncovered": len(stored) - len(late),
        "checkpoints": len(steps),
        "longest_pause": round(max(gaps, default=0)),
    }


async def caught_up(dsn: str, messages: int, watch: Watch) -> None:
    """Wait, at most `PATIENCE` seconds, until so many messages are recorded and a published checkpoint covers them."""
    until, size = time.monotonic() + PATIENCE, None
    while time.monotonic() < until:  # events that are not covered by then are told as such
        if size is None and asked(dsn, READ)[0][0] >= messages:
            size = asked(dsn, SIZES)[0][0]
        if size is not None and watch.published and watch.published[-1][1] >= size:
            return
        await asyncio.sleep(PAUSE)


async def paced(
    servers: Servers,
    dsn: str,
    parts: dict[str, psutil.Process],
    metrics: int,
    first: int,
    rate: int,
    seconds: float,
) -> dict[str, Any]:
    """Publish so many events a second for so long and wait until a published checkpoint covers them; return the lags.

    `metrics` is the port on which the ledger tells where its time goes.
    """
    tasks, before = round(rate * seconds / EVENTS_OF_A_TASK), machine.load()
    (size, _), cpu = asked(dsn, SIZES)[0], {name: cpu_of(part) for name, part in parts.items()}
    read = int(asked(dsn, READ)[0][0])
    steps = await asyncio.to_thread(ledger_stages.look, metrics)
    watch, began = Watch(dsn), time.monotonic()
    try:
        sent = await in_a_process("events.py", servers.nats.url, str(first), str(tasks), str(rate))
        elapsed = time.monotonic() - began
        await caught_up(dsn, read + sent, watch)
    finally:
        watch.end()
    stored = asked(dsn, STORED, size)
    return {
        "asked_per_second": rate,
        "sent_per_second": round(sent / elapsed),
        "events": len(stored),
        "not_recorded": sent - len(stored),
        "durable_lag_ms": lags(stored, watch.durable),
        "checkpoint_lag_ms": lags(stored, watch.published),
        "cpu_us_per_event": {
            name: round(1e6 * (cpu_of(part) - cpu[name]) / max(1, len(stored)), 1) for name, part in parts.items()
        },
        "steps": ledger_stages.between(steps, await asyncio.to_thread(ledger_stages.look, metrics)),
        "load_average": before,
    }


async def measured(servers: Servers, folder: Path, rates: list[int], seconds: float) -> list[dict[str, Any]]:
    """Run one ledger, with witness and mirror, through all rates."""
    witness, port = witness_of(folder)
    environment, dsn = ledger_of(servers, folder, witness, port)
    (metrics,) = free_ports(1)
    await filled(servers, WARM_TASKS)
    results, first = [], WARM_TASKS
    with (
        program(["tierproof_witness", "serve"], witness, folder / "witness.log") as beside,
        program(
            ["tierproof_evidence_ledger", "serve"],
            environment | {"TIERPROOF_HTTP_PORT": str(metrics)},
            folder / "ledger.log",
        ) as ledger,
        psycopg.connect(dsn, autocommit=True) as rows,
    ):
        database = psutil.Process(servers.postgres.child.pid)
        parts = {
            "ledger": ledger,
            "witness": beside,
            "broker": psutil.Process(servers.nats.child.pid),
            "database": database,
        }
        while not rows.execute(READ).fetchall()[0][0]:  # noqa: ASYNC110 - the ledger is another process
            await asyncio.sleep(PAUSE)
        for rate in rates:
            await asyncio.sleep(PAUSE)
            results.append(await paced(servers, dsn, parts, metrics, first, rate, seconds))
            first += round(rate * seconds / EVENTS_OF_A_TASK)
    return results


async def answer(seconds: float, rates: list[int]) -> dict[str, Any]:
    """Return the whole result."""
    described = machine.describe()
    with tempfile.TemporaryDirectory() as scratch, Servers(Path(scratch)) as servers:
        results = await measured(servers, Path(scratch), rates, seconds)
    met = all(
        one["checkpoint_lag_ms"]["p99"] <= TARGET_LAG_MS
        and not one["checkpoint_lag_ms"]["uncovered"] + one["not_recorded"]
        for one in results
    )
    return {
        "what": f"events of whole tasks at each rate for {seconds:g} s, batches of at most {BATCH}; lag from stored in JetStream to the "
        "batch's checkpoint in PostgreSQL (durable), and to the first cosigned checkpoint that covers the event",
        "machine": described,
        "rates": results,
        "targets": {"checkpoint_lag_ms_p99": {"at_most": TARGET_LAG_MS, "met": met}},
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--dry", action="store_true", help="print only; results/ stays as it is")
    given = parser.parse_args()
    result = asyncio.run(answer(given.seconds, given.rates))
    if not given.dry:
        machine.write("ledger_lag", result)
    for one in result["rates"]:
        print(
            f"{one['sent_per_second']} events/s: durable {one['durable_lag_ms']}; published {one['checkpoint_lag_ms']}"
        )
        print(f"  steps: {one['steps']}")
        print(f"  CPU, us an event: {one['cpu_us_per_event']}; load average {one['load_average']}")


if __name__ == "__main__":
    main()
