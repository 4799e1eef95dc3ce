"""A stopped stack's database, put back from a backup and brought up to date by the mirror and the broker's streams."""

import asyncio
import shutil
import time
from pathlib import Path

from tierproof_evidence_ledger.backup import BASE, opened
from tierproof_evidence_ledger.restore import restore
from tierproof_evidence_ledger.restored import Restored, Tell
from tierproof_evidence_ledger.settings import LedgerSettings

from tierproof_embedded import keys, ledger, log_keys, witness
from tierproof_embedded import postgres as pg
from tierproof_embedded.endpoints import with_role
from tierproof_embedded.errors import AlreadyRunning
from tierproof_embedded.layout import Layout
from tierproof_embedded.process import remembered
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import FIRST_STEPS, running_stack

NEEDED = (FIRST_STEPS, witness.WITNESS, ledger.MIGRATION)  # and what these need: broker and database


async def restored(settings: EmbeddedSettings, backup: Path, tell: Tell) -> Restored:
    """Restore a stack whose parts are stopped; raises AlreadyRunning, BackupFailed, and what `restore` raises."""
    layout = settings.layout
    running = remembered(layout.supervisor_pid)
    if running is not None:
        raise AlreadyRunning(pid=running.pid, home=layout.home)
    began = time.monotonic()
    await asyncio.to_thread(opened, backup)
    await asyncio.to_thread(lay_down, backup / BASE, layout.postgres)
    tell("backup put in place", time.monotonic() - began)
    async with running_stack(settings.model_copy(update={"only": NEEDED})) as stack:
        tell("servers started", time.monotonic() - began)
        return await restore(_settings(layout, settings, stack.nats_url, stack.owner_dsn), tell)


def lay_down(base: Path, folder: Path) -> None:
    """Put a copy of a base backup where a server's data lie; what lay there is kept beside it."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.before-{time.time_ns()}"))
    folder.parent.mkdir(parents=True, exist_ok=True, mode=pg.PASSABLE)
    shutil.copytree(base, folder)
    folder.chmod(0o700)
    if pg.identity_here() is pg.Identity.NOBODY:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, pg.NOBODY)


def _settings(layout: Layout, settings: EmbeddedSettings, nats_url: str, owner_dsn: str) -> LedgerSettings:
    """Return the settings of this stack's ledger, as its own process has them, and the owner's DSN."""
    key, next_key = log_keys.signing(layout)
    dsns = {role: with_role(owner_dsn, role, keys.password(layout.keys, role)) for role in ledger.ROLES.values()}
    return LedgerSettings(
        nats_url=nats_url,
        nkey_seed_file=keys.seed_file(layout.keys, "evidence-ledger"),
        trust_file=layout.trust,
        pg_dsn=dsns["ledger_writer"],
        pg_auditor_dsn=dsns["ledger_auditor"],
        pg_owner_dsn=owner_dsn,
        log_name=settings.log_name,
        log_key=str(key),
        next_log_key=None if next_key is None else str(next_key),
        log_pq_key_file=ledger.log_pq_key(layout),
        text_key_file=layout.keys / "ledger-texts.key",
        mirror=layout.mirror,
        witness_policy=witness.policy_file(layout),
    )
