"""A migrated ledger per test, and a recorder in office over it."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger.desk import Patience
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import AUTHOR
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.note import NoteSigner

ROLES = ("ledger_writer", "ledger_auditor", "ledger_eraser")
AFTERNOON = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LedgerDatabase:
    """DSNs of one ledger, by role."""

    server: PostgresServer
    name: str

    def dsn(self, role: str = "postgres") -> str:
        return self.server.dsn(self.name) if role == "postgres" else self.server.dsn(self.name, role, role)

    def rows(self, query: str, *values: Any, role: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn(role), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def ledger_template(postgres_server: PostgresServer) -> str:
    """Return the name of a database that is migrated, once per session."""
    name = postgres_server.create_database()
    migrate(postgres_server.dsn(name), delivered_migrations())
    with psycopg.connect(postgres_server.dsn(name), autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"ALTER ROLE {role} PASSWORD '{role}'".encode())
    return name


@pytest.fixture
def ledger(postgres_server: PostgresServer, ledger_template: str) -> Iterator[LedgerDatabase]:
    """Return an empty ledger of this test's own."""
    name = postgres_server.create_database(ledger_template)
    yield LedgerDatabase(postgres_server, name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def office() -> Office:
    """Return keys and patience of a sequencer."""
    return Office(
        signer=NoteSigner(
            name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"log key seed, for tests only 32b")
        ),
        vault=Vault(bytes(range(32))),
        signers={"author": Ed25519Verifier(AUTHOR.public_key)},
        patience=Patience(grace=timedelta(minutes=5), undated=timedelta(hours=1)),
        announce_every=timedelta(seconds=1),
        holder="tests",
    )


@pytest.fixture
async def start(ledger: LedgerDatabase, office: Office) -> AsyncIterator[Callable[[], Any]]:
    """Return a function that begins a new term, as a restarted sequencer would."""
    stores: list[Store] = []

    async def begin_term() -> Recorder:
        stores.append(await Store.open(ledger.dsn("ledger_writer")))
        return await begin(stores[-1], office)

    yield begin_term
    for store in stores:
        await store.close()


@pytest.fixture
async def recorder(start: Callable[[], Any]) -> Recorder:
    """Return a recorder in office."""
    return await start()  # type: ignore[no-any-return]
