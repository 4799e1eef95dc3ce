"""The parts that are killed, each started again by itself: broker, database, sequencer, witness, as one stack on loopback ports."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tierproof_bus import BusSettings
from tierproof_bus.provision import Deployment, provision
from tierproof_embedded import postgres as pg
from tierproof_embedded.process import Child, Command
from tierproof_embedded.testing import NatsServer, PostgresServer

from tests.integration.evidence_ledger.ledger_database import LedgerDatabase
from tests.integration.evidence_ledger.whole_service import OWN, environment_of, witness_beside

RESTART_PAUSE = 0.1  # seconds between an end of its own and the next start
GRACE = 20.0
ACK_WAIT = 5.0
WITNESS = "witness.example/kills"


@dataclass(slots=True, kw_only=True)
class Part:
    """A process that is started again whenever it has ended. `ends` are exit codes of ends that nobody caused by a signal."""

    child: Child
    before: Callable[[], object] = lambda: None
    starts: int = 0
    started: float = 0.0
    ended: float | None = None
    pause: float = RESTART_PAUSE
    ends: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        self.before()
        self.child.start()
        self.starts, self.started, self.ended = self.starts + 1, time.monotonic(), None

    def kill(self, down: float) -> float:
        """Kill it with SIGKILL, to be started again after so many seconds; return the seconds since its start."""
        up = time.monotonic() - self.started
        self.child.kill()
        self.ended, self.pause = time.monotonic(), down
        return up

    def look(self) -> None:
        """Note an end of its own, and start it again when its time has come."""
        code = self.child.exit_code()
        if code is not None and self.ended is None:
            self.ended, self.pause = time.monotonic(), RESTART_PAUSE
            self.ends.append(code)
        if self.ended is not None and time.monotonic() - self.ended >= self.pause:
            self.start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The running parts by name, and where everything is."""

    folder: Path
    nats: NatsServer
    postgres: PostgresServer
    ledger: LedgerDatabase
    parts: dict[str, Part]

    @property
    def trust(self) -> Path:
        """The trust file, which names the keys of log and witness."""
        return self.folder / "trust.json"

    @property
    def mirror(self) -> Path:
        """The second copy of the log."""
        return self.folder / "mirror"

    @property
    def witness_store(self) -> Path:
        """What the witness remembers (SQLite)."""
        return self.folder / "witness" / "store.sqlite"

    @property
    def text_key(self) -> Path:
        """The key that wraps the keys of texts."""
        return self.folder / "texts.key"

    def logs(self) -> str:
        """Return what the sequencer wrote last."""
        return (self.folder / "ledger.log").read_text(errors="replace")[-4000:]


def _module(name: str, module: str, environment: dict[str, str], folder: Path) -> Child:
    command = Command(argv=(sys.executable, "-m", module, "serve"), environment=environment, grace=GRACE)
    return Child(name, command, log=folder / f"{name}.log", pid_file=folder / f"{name}.pid")


@contextmanager
def whole_stack(folder: Path) -> Iterator[Stack]:
    """Run broker (synced), database (durable), witness and sequencer with mirror until the block ends; then none of them is left.

    All are children of this process on a leash: they end with it, also when it is killed. Call it from the main thread.
    """
    nats, postgres = NatsServer(folder / "nats"), PostgresServer(folder / "postgres", durable=True)
    parts: dict[str, Part] = {}
    try:
        nats.start()
        postgres.start()
        ledger = LedgerDatabase.migrated(postgres, postgres.create_database())
        seed = nats.seed_file("provisioner")
        settings = BusSettings(nats_url=nats.bare_url, nkey_seed_file=seed)
        asyncio.run(provision(settings, Deployment(ack_wait=ACK_WAIT)))
        told, environment = witness_beside(environment_of(nats, ledger, folder), folder, WITNESS)
        environment |= {f"{OWN}ANNOUNCE_MS": "500"}
        parts |= {
            "witness": Part(child=_module("witness", "tierproof_witness", told, folder)),
            "ledger": Part(child=_module("ledger", "tierproof_evidence_ledger", environment, folder)),
        }
        for part in parts.values():
            part.start()
        now = time.monotonic()
        parts |= {
            "nats": Part(child=nats.child, starts=1, started=now),
            "postgres": Part(
                child=postgres.child, starts=1, started=now, before=lambda: pg.forget_empty_lock(postgres.cluster)
            ),
        }
        yield Stack(folder=folder, nats=nats, postgres=postgres, ledger=ledger, parts=parts)
    finally:
        for name in ("ledger", "witness"):
            if name in parts:
                parts[name].child.stop()
        postgres.stop()
        nats.stop()
