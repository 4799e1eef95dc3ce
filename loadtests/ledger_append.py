"""Events per second from JetStream to durable, checkpointed entries, and how near that is to a plain COPY of the same messages.

The broker syncs every message, PostgreSQL every commit. The streams are filled first, so that the ledger is the only limit. In the
same run, before and after: the floor (shared/plain_copy.py), the same messages by binary COPY without any evidence work.
`python loadtests/ledger_append.py [--seconds 60] [--tasks 70000]`
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import machine
import psutil
import psycopg
from tierproof_bus import BusSettings
from tierproof_bus.provision import Deployment, provision
from tierproof_embedded.ports import free_ports
from tierproof_embedded.testing import NatsServer, PostgresServer
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.testing import AUTHOR
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.keys import Ed25519Verifier, load_or_create_key, load_or_create_mldsa44_key
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner, parse_vkey
from tierproof_proofs.policy import Group, Party, Policy
from tierproof_proofs.trust import Trust

HERE = Path(__file__).parent
TARGET_RATE, TARGET_RATIO, TARGET_LAG_MS = 3000, 0.25, 1000
BATCH = 1024
FLOOR_SECONDS, SETTLE_SECONDS = 15, 10
ORIGIN, WITNESS = "ledger.example/load", "witness.example/load"
OWN = "TIERPROOF_EVIDENCE_LEDGER_"
PAUSE = 1.0


async def in_a_process(*arguments: str) -> Any:  # noqa: ANN401 - what the program prints
    """Run a program of shared/ and return the JSON that it prints."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=HERE / "shared"
    )
    printed, _ = await running.communicate()
    if running.returncode != 0:
        raise SystemExit(f"{arguments[0]} failed")
    return json.loads(printed)


class Servers:
    """A synced broker with the topology, a durable database, and everything that the ledger needs besides."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nats = NatsServer(folder / "nats")
        self.postgres = PostgresServer(folder / "postgres", durable=True)

    def __enter__(self) -> Self:
        self.nats.start()
        self.postgres.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.stop()
        self.nats.stop()


async def filled(servers: Servers, tasks: int) -> dict[str, Any]:
    """Lay out the topology and publish the events of so many tasks from two processes; return how long that took."""
    settings = BusSettings(nats_url=servers.nats.bare_url, nkey_seed_file=servers.nats.seed_file("provisioner"))
    await provision(settings, Deployment(ack_wait=30.0))
    began, half = time.monotonic(), tasks // 2
    parts = ((0, half), (half, tasks - half))
    sent = await asyncio.gather(
        *(in_a_process("events.py", servers.nats.url, str(first), str(count)) for first, count in parts)
    )
    return {"events": sum(sent), "seconds": round(time.monotonic() - began, 1)}


async def floor(servers: Servers, seconds: float) -> dict[str, Any]:
    """Run one half of the floor."""
    dsn = servers.postgres.dsn(servers.postgres.create_database())
    before = machine.load()
    measured: dict[str, Any] = await in_a_process("plain_copy.py", servers.nats.url, dsn, str(BATCH), str(seconds))
    return measured | {"load_average": before}


@contextlib.contextmanager
def program(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[psutil.Process]:
    """Run a Python module until the block ends."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments], env={**os.environ, **environment}, stdout=out, stderr=out
        )
    try:
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait(15)


def witness_of(folder: Path) -> tuple[dict[str, str], int]:
    """Return the environment of a witness, and its port."""
    (port,) = free_ports(1)
    files = {"STORE_FILE": "store.sqlite", "KEY_FILE": "w.pem", "MLDSA_KEY_FILE": "w-mldsa.pem", "LOGS_FILE": "logs"}
    named = {f"TIERPROOF_WITNESS_{name}": str(folder / file) for name, file in files.items()}
    return named | {"TIERPROOF_WITNESS_NAME": WITNESS, "TIERPROOF_WITNESS_HTTP_PORT": str(port)}, port


def ledger_of(servers: Servers, folder: Path, witness: dict[str, str], port: int) -> tuple[dict[str, str], str]:
    """Prepare keys, trust, witness policy and database; return the environment of the ledger, and a DSN for watching it."""
    log = NoteSigner(name=ORIGIN, signer=load_or_create_key(folder / "log.pem")).verifier_key
    quantum = Cosigner(name=ORIGIN, signer=load_or_create_mldsa44_key(folder / "log-mldsa.pem")).verifier_key
    (folder / "logs").write_text(f"{log}\n")
    shown = subprocess.run(
        [sys.executable, "-m", "tierproof_witness", "keys"],
        env={**os.environ, **witness},
        capture_output=True,
        check=True,
    )
    keys = tuple(parse_vkey(line) for line in shown.stdout.decode().split() if "+" in line)
    parties = tuple(
        Party(key=key, name=f"w{number}", url=f"http://127.0.0.1:{port}") for number, key in enumerate(keys)
    )
    policy = Policy(
        logs=(Party(key=log),),
        witnesses=parties,
        groups={"any": Group(threshold=1, members=tuple(party.name for party in parties))},
        quorum="any",
    )
    (folder / "policy").write_text(str(policy))
    trust = Trust(
        log_keys=(LogKey(key=log), LogKey(key=quantum)),
        witnesses=keys,
        quorum=1,
        documents={"author": Ed25519Verifier(AUTHOR.public_key)},
    )
    (folder / "trust.json").write_text(trust.to_json())
    name = servers.postgres.create_database()
    migrate(servers.postgres.dsn(name), delivered_migrations())
    with psycopg.connect(servers.postgres.dsn(name), autocommit=True) as owner:
        for role in ("ledger_writer", "ledger_auditor"):
            owner.execute(f"ALTER ROLE {role} PASSWORD '{role}'".encode())
    own = {
        "LOG_NAME": ORIGIN,
        "LOG_KEY": str(folder / "log.pem"),
        "LOG_PQ_KEY_FILE": str(folder / "log-mldsa.pem"),
        "TEXT_KEY_FILE": str(folder / "texts.key"),
        "MIRROR": str(folder / "mirror"),
        "WITNESS_POLICY": str(folder / "policy"),
        "BATCH_EVENTS": str(BATCH),
    }
    dsn = servers.postgres.dsn
    shared = {
        "NATS_URL": servers.nats.bare_url,
        "NKEY_SEED_FILE": str(servers.nats.seed_file("evidence-ledger")),
        "TRUST_FILE": str(folder / "trust.json"),
        "MONITORING_URL": f"http://127.0.0.1:{servers.nats.broker.monitor_port}",
        "PG_DSN": dsn(name, "ledger_writer", "ledger_writer"),
        "PG_AUDITOR_DSN": dsn(name, "ledger_auditor", "ledger_auditor"),
    }
    named = {f"TIERPROOF_{key}": value for key, value in shared.items()}
    return named | {f"{OWN}{key}": value for key, value in own.items()}, dsn(name)


async def appended(servers: Servers, folder: Path, seconds: float) -> dict[str, Any]:
    """Run the ledger with witness and mirror over the full streams; return rate, lag, and CPU by part."""
    witness, port = witness_of(folder)
    environment, dsn = ledger_of(servers, folder, witness, port)
    before = machine.load()
    with (
        program(["tierproof_witness", "serve"], witness, folder / "witness.log") as beside,
        program(["tierproof_evidence_ledger", "serve"], environment, folder / "ledger.log") as ledger,
        psycopg.connect(dsn, autocommit=True) as rows,
    ):
        processes = {"ledger": ledger, "witness": beside} | {
            name: psutil.Process(server.child.pid)
            for name, server in (("broker", servers.nats), ("database", servers.postgres))
        }
        samples = await sampled(rows, seconds, processes)
        lags = rows.execute(LAGS).fetchall()
    return summary(samples, [float(lag) for (lag,) in lags]) | {"load_average": before}


Sample = tuple[float, int, dict[str, float]]
READ = """SELECT coalesce(sum(n), 0) FROM (
    SELECT (SELECT max(stream_seq) FROM ledger.ingest_key k WHERE k.stream_id = s.stream_id) AS n FROM ledger.stream s) read"""
LAGS = """
    SELECT 1000 * extract(epoch FROM p.published_at - (e.said).recorded_at)
    FROM (SELECT size, published_at, lag(size) OVER (ORDER BY size) AS before FROM ledger.published_checkpoint) p
    JOIN ledger.entry e ON e.seq = coalesce(p.before, 0)"""  # the oldest entry that each checkpoint was the first to cover


async def sampled(rows: psycopg.Connection[Any], seconds: float, processes: dict[str, psutil.Process]) -> list[Sample]:
    """Look once a second: time, number of entries that came from messages, CPU seconds by part."""
    samples: list[Sample] = []
    began: float | None = None
    while began is None or time.monotonic() - began < seconds:
        await asyncio.sleep(PAUSE)
        (read,) = rows.execute(READ).fetchall()[0]
        if read and began is None:
            began = time.monotonic()
        if began is not None:
            samples.append(
                (time.monotonic(), int(read), {name: cpu_of(process) for name, process in processes.items()})
            )
    return samples


def cpu_of(process: psutil.Process) -> float:
    """Return user and system seconds of a process and its descendants, ended ones included."""
    spent = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(one.cpu_times()[:4])
    return spent


def summary(samples: list[Sample], lags: list[float]) -> dict[str, Any]:
    """Return what the samples say; a quarter of the time at the beginning against one at the end shows whether it gets slower."""
    first, last = samples[0], samples[-1]
    events, elapsed = last[1] - first[1], last[0] - first[0]
    quarter = max(1, len(samples) // 4)

    def rate(part: list[Sample]) -> float:
        return (part[-1][1] - part[0][1]) / (part[-1][0] - part[0][0])

    return {
        "events": events,
        "seconds": round(elapsed, 1),
        "per_second": round(events / elapsed),
        "first_quarter_per_second": round(rate(samples[: quarter + 1])),
        "last_quarter_per_second": round(rate(samples[-quarter - 1 :])),
        "cpu_us_per_event": {
            name: round(1e6 * (last[2][name] - first[2][name]) / max(1, events), 1) for name in first[2]
        },
        "checkpoint_lag_ms": {
            "p50": round(statistics.median(lags)),
            "p99": round(statistics.quantiles(lags, n=100, method="inclusive")[98]),
            "checkpoints": len(lags),
        },
    }


async def answer(seconds: float, tasks: int) -> dict[str, Any]:
    """Return the whole result."""
    described = machine.describe()
    with tempfile.TemporaryDirectory() as scratch, Servers(Path(scratch)) as servers:
        fill = await filled(servers, tasks)
        await asyncio.sleep(SETTLE_SECONDS)  # what was filled reaches the disk
        halves = [await floor(servers, FLOOR_SECONDS)]
        measured = await appended(servers, Path(scratch), seconds)
        halves.append(await floor(servers, FLOOR_SECONDS))
    ratio = measured["per_second"] / statistics.mean(half["per_second"] for half in halves)
    lag = measured["checkpoint_lag_ms"]["p99"]
    return {
        "what": f"{fill['events']} events of {tasks} tasks waiting in JetStream; the ledger with witness, mirror and relay takes "
        f"them for {seconds:g} s in batches of {BATCH}; the floor copies the same messages",
        "machine": described,
        "filled": fill,
        "ledger": measured,
        "floor": halves,
        "ratio_to_floor": round(ratio, 3),
        "targets": {
            "per_second": {"at_least": TARGET_RATE, "met": measured["per_second"] >= TARGET_RATE},
            "ratio_to_floor": {"at_least": TARGET_RATIO, "met": ratio >= TARGET_RATIO},
            "checkpoint_lag_ms_p99": {"at_most": TARGET_LAG_MS, "met": lag <= TARGET_LAG_MS},
        },
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tasks", type=int, default=70_000)
    given = parser.parse_args()
    result = asyncio.run(answer(given.seconds, given.tasks))
    machine.write("ledger_append", result)
    ledger = result["ledger"]
    floors = " and ".join(str(half["per_second"]) for half in result["floor"])
    print(f"{ledger['per_second']} events/s; floor {floors} before and after; ratio {result['ratio_to_floor']}")
    print(
        f"first and last quarter: {ledger['first_quarter_per_second']} and {ledger['last_quarter_per_second']} events/s"
    )
    print(f"CPU, us an event: {ledger['cpu_us_per_event']}; checkpoint lag, ms: {ledger['checkpoint_lag_ms']}")


if __name__ == "__main__":
    main()
