"""A migrated ledger per test, and a recorder in office over it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.aio.client import Client
from tierproof_bus import BusSettings
from tierproof_bus.provision import Deployment, provision
from tierproof_embedded.testing import NatsServer, PostgresServer
from tierproof_evidence_ledger.desk import Patience
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.service import serve
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import AUTHOR
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.note import NoteSigner

from tests.integration.evidence_ledger.ledger_database import LedgerDatabase
from tests.integration.evidence_ledger.whole_service import environment_of

AFTERNOON = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def ledger_template(postgres_server: PostgresServer) -> str:
    """Return the name of a database that is migrated, once per session."""
    name = postgres_server.create_database()
    LedgerDatabase.migrated(postgres_server, name)
    with psycopg.connect(postgres_server.dsn(name), autocommit=True) as connection:
        # What the migration noted of itself would be the first entry of every ledger here: tests count what they did.
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM ledger.act")
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


@pytest.fixture
async def broker(nats_server: NatsServer) -> NatsServer:
    """A broker with the topology on it."""
    settings = BusSettings(nats_url=nats_server.bare_url, nkey_seed_file=nats_server.seed_file("provisioner"))
    await provision(settings, Deployment(ack_wait=5.0))
    return nats_server


@pytest.fixture
def environment(broker: NatsServer, ledger: LedgerDatabase, tmp_path: Path) -> dict[str, str]:
    """What a ledger process is told: endpoints, keys, and quick times."""
    return environment_of(broker, ledger, tmp_path)


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> LedgerSettings:
    """The same as settings of a ledger in this process."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return LedgerSettings()


@pytest.fixture
async def running(settings: LedgerSettings) -> AsyncIterator[LedgerSettings]:
    """A ledger at work in this process."""
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop))
    yield settings
    stop.set()
    assert await asyncio.wait_for(serving, 10) == 0


@pytest.fixture
async def everyone(broker: NatsServer) -> AsyncIterator[Client]:
    """A client that may do everything, in the place of producers, router, workers and people."""
    client = await nats.connect(broker.url)
    yield client
    await client.close()
