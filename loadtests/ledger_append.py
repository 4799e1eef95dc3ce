"""Events per second from JetStream to durable, checkpointed entries, and how near that is to a plain COPY of the same messages.

The broker syncs every message, PostgreSQL every commit. The streams are filled first, so that the ledger is the only limit. In the
same run, before and after: the floor (shared/plain_copy.py), the same messages by binary COPY without any evidence work.
`python loadtests/ledger_append.py [--seconds 60] [--tasks 55000]`
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
import psutil
import psycopg
from shared import costs
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack

HERE = Path(__file__).parent
TARGET_RATE, TARGET_RATIO, TARGET_LAG_MS = 3000, 0.25, 1000
EVENTS_PER_TASK = 7
FLOOR_SECONDS = 15


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

    def __enter__(self) -> "Servers":
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
