"""A disaster drill on a running stack: what the ledger's backup is worth, and how long a recovery would take.

A backup while tasks run, more tasks, then the disaster as a thought: what is left are the backup, the mirror as it is, and the broker.
From these a scratch database is made on another server, deeply verified, and compared with what witnesses have signed. The drill
reads the stack's log, streams and mirror and writes none of them: its log key is a throw-away one, and no witness hears of it.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import tierproof
from tierproof_evidence_ledger.backup import BASE, Backup, back_up
from tierproof_evidence_ledger.mirror import Mirror
from tierproof_evidence_ledger.mirror_folder import copied
from tierproof_evidence_ledger.restore import restore
from tierproof_evidence_ledger.restored import Restored
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import open_checkpoint
from tierproof_proofs.tlog_proof import witness_times
from tierproof_proofs.trust import Trust

from tierproof_embedded import keys, ledger
from tierproof_embedded.drill_server import ScratchServer
from tierproof_embedded.endpoints import with_role
from tierproof_embedded.layout import Layout

KIND = "drill"  # a kind without a policy is declined at once: the drill is about the ledger
TASK_SECONDS = 60.0
LOOK = 0.05
Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running stack: its folder, broker, database, the tenant whose program submits, and its log's name."""

    layout: Layout
    nats_url: str
    owner_dsn: str
    tenant: str
    log_name: str


@dataclass(slots=True, kw_only=True)
class DrillReport:
    """Numbers of a drill: sizes in entries, times in seconds. `rpo` are entries that were committed and would be gone.

    `replayable` are messages that the streams hold beyond that; `rto` counts from the empty machine to the verified ledger.
    """

    tasks: int = 0
    backup_size: int = 0
    size: int = 0
    published: int = 0
    restored: int = 0
    mirrored: int = 0
    replayable: int = 0
    texts_missing: int = 0
    rpo: int = 0
    rto: float = 0.0
    root: str = ""
    root_agrees: bool = False
    witnesses: dict[str, int] = field(default_factory=dict)
    quorum: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether a disaster now would cost nothing that anybody was told."""
        return not self.faults and self.root_agrees and self.rpo <= 0 and len(self.witnesses) >= self.quorum

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        steps = {name: round(seconds, 3) for name, seconds in self.seconds.items()}
        return {"ok": self.passed, **asdict(self), "rto": round(self.rto, 3), "seconds": steps}


@dataclass(slots=True, kw_only=True)
class _Clock:
    report: DrillReport
    tell: Tell

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.done(name, time.monotonic() - began)

    def done(self, name: str, seconds: float) -> None:
        self.report.seconds[name] = seconds
        self.tell(name, seconds)


async def drill(site: Site, tell: Tell, *, tasks: int, keep: Path | None = None) -> DrillReport:
    """Rehearse the loss of a stack's database; raises LedgerError, EmbeddedError or ClientError when it cannot be rehearsed.

    Half of the tasks run during the backup. `keep` is an empty folder for what the drill made, else nothing is left.
    """
    report = DrillReport()
    clock = _Clock(report=report, tell=tell)
    with tempfile.TemporaryDirectory(prefix="tierproof-drill-") as temporary:
        place = keep or Path(temporary)
        with clock.step("a first task"):  # a stack that was just started has nothing to back up yet
            await _work(site, 1)
        with clock.step("tasks and backup at once"):
            made, _ = await asyncio.gather(
                asyncio.to_thread(back_up, site.owner_dsn, place / "backup"), _work(site, tasks - tasks // 2)
            )
        with clock.step("more tasks"):
            await _work(site, tasks // 2)
        report.tasks, report.backup_size = 1 + tasks, made.size
        with clock.step("disaster: what is left"):
            report.size, report.published = await asyncio.to_thread(_production, site)
            await _until_mirrored(site.layout.mirror / "checkpoint", report.published)
            await asyncio.to_thread(copied, site.layout.mirror, place / "mirror")
        await _recovered(site, place, made, clock)
        _compare(site, place / "mirror", report)
    return report


async def _work(site: Site, count: int) -> None:
    """Have tasks done through the whole stack."""
    seed = keys.seed_file(site.layout.keys, f"app-{site.tenant}")
    async with tierproof.connect(site.nats_url, credentials=seed, actor="drill") as fleet:
        submitted = [
            await fleet.submit(kind=KIND, safety_class="A", prompt=f"drill {number}", time_allowed=TASK_SECONDS)
            for number in range(count)
        ]
        await asyncio.gather(*(task.released(TASK_SECONDS) for task in submitted))


def _production(site: Site) -> tuple[int, int]:
    """Return how many entries somebody outside was told of, and the newest published size."""
    with psycopg.connect(site.owner_dsn) as rows:
        query = "SELECT coalesce(max(ref), 0) FROM ledger.v_outbox WHERE kind = 'checkpoint' AND stream_seq IS NOT NULL"
        published = rows.execute(query).fetchall()[0][0]
        told = rows.execute(
            "SELECT coalesce(max(ref) + 1, 0) FROM ledger.v_outbox WHERE kind = 'release' AND stream_seq IS NOT NULL"
        )
        return max(published, told.fetchall()[0][0]), published


async def _until_mirrored(note: Path, size: int) -> None:
    """Wait, not for ever, until the mirror shows the published checkpoint: the ledger writes it right after its publication."""
    until = time.monotonic() + TASK_SECONDS
    while _size_in(note) < size and time.monotonic() < until:  # noqa: ASYNC110 - another process writes a file
        await asyncio.sleep(LOOK)


def _size_in(note: Path) -> int:
    """Return the size of a checkpoint, 0 where there is none yet."""
    lines = note.read_text().split("\n") if note.exists() else []
    return int(lines[1]) if len(lines) > 1 else 0


async def _recovered(site: Site, place: Path, made: Backup, clock: _Clock) -> None:
    """Build the scratch ledger: the time from here to the end is the recovery time."""
    report, began = clock.report, time.monotonic()
    server = ScratchServer(place / "server", keys.password(site.layout.keys, "postgres"))
    with clock.step("backup put in place"):
        await asyncio.to_thread(server.lay_down, place / "backup" / BASE)
    try:
        with clock.step("database started"):
            server.start()
        settings = _settings(site, place, server.dsn(made.database))
        restored = await restore(
            settings, lambda name, seconds: clock.done(f"restore: {name}", seconds), rehearsal=True
        )
    finally:
        server.stop()
    report.rto = time.monotonic() - began
    _take_over(report, restored)


def _take_over(report: DrillReport, restored: Restored) -> None:
    report.restored, report.mirrored, report.root = restored.size, restored.mirrored, restored.root.hex()
    report.replayable, report.texts_missing = restored.replayed, len(restored.texts_missing)
    report.rpo = max(0, report.size - restored.size)
    report.faults = [fault.what for fault in restored.faults]
    report.faults += [f"another event lies on {subject}" for subject in restored.taken]
    if restored.texts_missing:
        report.faults.append(f"{len(restored.texts_missing)} texts would be lost")


def _settings(site: Site, place: Path, owner_dsn: str) -> LedgerSettings:
    """Return the settings of a ledger over the scratch database, with a log key that nobody trusts, and without witnesses."""
    dsns = {role: with_role(owner_dsn, role, keys.password(site.layout.keys, role)) for role in ledger.ROLES.values()}
    return LedgerSettings(
        nats_url=site.nats_url,
        nkey_seed_file=keys.seed_file(site.layout.keys, "evidence-ledger"),
        trust_file=site.layout.trust,
        pg_dsn=dsns["ledger_writer"],
        pg_auditor_dsn=dsns["ledger_auditor"],
        pg_owner_dsn=owner_dsn,
        log_name=site.log_name,
        log_key=str(place / "throw-away.pem"),
        next_log_key=None,
        log_pq_key_file=None,
        text_key_file=site.layout.keys / "ledger-texts.key",
        mirror=place / "mirror",
        witness_policy=None,
    )


def _compare(site: Site, mirror: Path, report: DrillReport) -> None:
    """Compare the restored history with the newest checkpoint that witnesses have cosigned."""
    trust = Trust.from_json(site.layout.trust.read_bytes())
    report.quorum = trust.quorum
    with Mirror.open(mirror, site.log_name) as restored:
        note = restored.checkpoint()
        if note is None:
            report.faults.append("no checkpoint was published: nothing to compare with")
            return
        try:
            checkpoint = open_checkpoint(note.encode(), trust.log_keys)
            report.witnesses = dict(witness_times(note.encode(), checkpoint, trust.witnesses))
        except ProofError as error:
            report.faults.append(f"the published checkpoint: {error.diagnosis()}")
            return
        report.root_agrees = restored.root(checkpoint.size) == checkpoint.root and checkpoint.size >= report.published
