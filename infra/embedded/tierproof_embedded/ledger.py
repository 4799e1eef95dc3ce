"""What the evidence ledger needs of the stack: a database, its roles' passwords, and two keys."""

import sys
from pathlib import Path

from tierproof_embedded import keys, log_keys, postgres, witness
from tierproof_embedded.endpoints import DATABASE, Endpoints, with_role
from tierproof_embedded.layout import Layout
from tierproof_embedded.process import Command
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part

MIGRATION = "ledger-migration"
MODULE = "tierproof_evidence_ledger"
PREFIX = "TIERPROOF_EVIDENCE_LEDGER"
TEXT_KEY = "ledger-texts.key"
ROLES = {
    "writer": "ledger_writer",
    "auditor": "ledger_auditor",
    "eraser": "ledger_eraser",
    "holder": "ledger_holder",
}
DSN_FILES = {
    "writer": "ledger.dsn",
    "auditor": "ledger-auditor.dsn",
    "eraser": "ledger-eraser.dsn",
    "holder": "ledger-holder.dsn",
    "owner": "ledger-owner.dsn",
}


def log_key(layout: Layout) -> Path:
    """Return the file of the key that signs checkpoints."""
    return log_keys.signing(layout)[0]


def log_pq_key(layout: Layout) -> Path:
    """Return the file of the key that signs published checkpoints as well, with ML-DSA-44."""
    return layout.keys / "ledger-log-mldsa.pem"


def environment(layout: Layout) -> dict[str, str]:
    """Return the variables of the ledger's process: where its database is, as whom, and its keys. Files, never secrets."""
    key, next_key = log_keys.signing(layout)
    rotation = {} if next_key is None else {f"{PREFIX}_NEXT_LOG_KEY": str(next_key)}
    return rotation | {
        "TIERPROOF_PG_DSN_FILE": str(layout.keys / DSN_FILES["writer"]),
        "TIERPROOF_PG_AUDITOR_DSN_FILE": str(layout.keys / DSN_FILES["auditor"]),
        f"{PREFIX}_LOG_KEY": str(key),
        f"{PREFIX}_LOG_PQ_KEY_FILE": str(log_pq_key(layout)),
        f"{PREFIX}_TEXT_KEY_FILE": str(layout.keys / TEXT_KEY),
        f"{PREFIX}_MIRROR": str(layout.mirror),
        f"{PREFIX}_WITNESS_POLICY": str(witness.policy_file(layout)),
    }


def migration_part(settings: EmbeddedSettings, endpoints: Endpoints) -> Part:
    """Return the part that brings the ledger's schema up to date, and its roles' passwords with it."""
    layout = settings.layout

    def command() -> Command:
        write_dsns(layout, endpoints.owner_dsn)
        if settings.pg_dsn is None:
            ensure_database(endpoints.owner_dsn)
        passwords = {
            f"{PREFIX}_{name.upper()}_PASSWORD_FILE": str(keys.password_file(layout.keys, role))
            for name, role in ROLES.items()
        }
        owner = {"TIERPROOF_PG_OWNER_DSN_FILE": str(layout.keys / DSN_FILES["owner"])}
        return Command(
            argv=(sys.executable, "-m", MODULE, "migrate"), environment=environment(layout) | owner | passwords
        )

    return Part(name=MIGRATION, command=command, needs=("postgres",), once=True)


def write_dsns(layout: Layout, owner_dsn: str) -> None:
    """Write one DSN per role, each readable by the owner of the folder alone."""
    keys.put(layout.keys / DSN_FILES["owner"], owner_dsn)
    for name, role in ROLES.items():
        keys.put(layout.keys / DSN_FILES[name], with_role(owner_dsn, role, keys.password(layout.keys, role)))


def ensure_database(owner_dsn: str) -> None:
    """Create the stack's database on our own server unless it is there."""
    server = owner_dsn.removesuffix(f"/{DATABASE}") + "/postgres"
    if postgres.run_sql(server, f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'").strip() != "1":  # noqa: S608 - a constant
        postgres.run_sql(server, f"CREATE DATABASE {DATABASE}")
