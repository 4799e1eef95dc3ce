"""Forward-only migrations: SQL files in the order of their names, each applied once, in one transaction, and remembered by digest."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg import sql
from psycopg.types.json import Jsonb

from tierproof_evidence_ledger.acts import MIGRATED
from tierproof_evidence_ledger.errors import MigrationRefused, NotConfigured
from tierproof_evidence_ledger.fingerprint import parts_of
from tierproof_evidence_ledger.settings import LedgerSettings

_log = structlog.get_logger()
_LOCK = 0x7469_6572_6D69  # one migration at a time
_HERE = Path(__file__).resolve().parent


def delivered_migrations() -> Path:
    """Return the folder of migrations: inside the installed package, or beside it in the repository."""
    for folder in (_HERE / "migrations", _HERE.parents[2] / "infra" / "postgres" / "migrations"):
        if folder.is_dir():
            return folder
    raise NotConfigured("no folder of migrations is delivered; name one with TIERPROOF_EVIDENCE_LEDGER_MIGRATIONS")


def names_in(folder: Path | None) -> frozenset[str]:
    """Return the names of the migrations in a folder, None for the delivered one; raises NotConfigured."""
    return frozenset(path.name for path in _files(delivered_migrations() if folder is None else folder))


def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply what is missing and return its names; raises MigrationRefused when an applied file was edited or is gone."""
    applied_now = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        connection.execute("CREATE SCHEMA IF NOT EXISTS ledger_migrations")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS ledger_migrations.applied"
            " (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = connection.execute("SELECT name, sha256 FROM ledger_migrations.applied").fetchall()
        for path in _pending(dict(rows), folder):
            content = path.read_bytes()
            with connection.transaction():
                connection.execute(content)
                connection.execute(
                    "INSERT INTO ledger_migrations.applied (name, sha256) VALUES (%s, %s)",
                    [path.name, sha256(content).hexdigest()],
                )
            _log.info("migration.applied", name=path.name)
            applied_now.append(path.name)
        _record(connection, applied_now)
    return applied_now


def _record(connection: psycopg.Connection[Any], applied_now: list[str]) -> None:
    """Have the log hold what the schema is made of from now on, unless it is as it was recorded last."""
    query = "SELECT said -> 'parts' FROM ledger.act WHERE type = %s ORDER BY done_at DESC LIMIT 1"
    last = connection.execute(query, [MIGRATED]).fetchone()
    parts = parts_of(connection)
    if last is None or last[0] != parts:
        said = Jsonb({"actor": connection.info.user, "migrations": applied_now, "parts": parts})
        connection.execute("INSERT INTO ledger.act (type, said) VALUES (%s, %s)", [MIGRATED, said])


def set_passwords(dsn: str, settings: LedgerSettings) -> None:
    """Give the login roles the passwords of their files; roles without a file keep what they have."""
    files = {
        "ledger_writer": settings.writer_password_file,
        "ledger_auditor": settings.auditor_password_file,
        "ledger_eraser": settings.eraser_password_file,
        "ledger_holder": settings.holder_password_file,
    }
    with psycopg.connect(dsn, autocommit=True) as connection:
        for role, file in files.items():
            if file is not None:
                command = sql.SQL("ALTER ROLE {} PASSWORD {}")
                connection.execute(command.format(sql.Identifier(role), sql.Literal(file.read_text().strip())))


def _pending(applied: dict[str, str], folder: Path) -> list[Path]:
    files = {path.name: path for path in _files(folder)}
    for name, digest in applied.items():
        if name not in files:
            raise MigrationRefused(
                f"{name} was applied and is not in the folder: this release is older than the database"
            )
        if sha256(files[name].read_bytes()).hexdigest() != digest:
            raise MigrationRefused(f"{name} was edited after it was applied: add a new migration instead")
    return [path for name, path in files.items() if name not in applied]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.sql"))
