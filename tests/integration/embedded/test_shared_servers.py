"""The servers that every other suite relies on."""

import asyncio
import json
import os
import tempfile
import urllib.request
from pathlib import Path

import nats
import psutil
import psycopg
import pytest
from nats.errors import NoRespondersError
from tierproof_embedded import postgres
from tierproof_embedded.testing import NatsServer, PostgresServer


async def test_a_broker_per_test_stores_and_survives_a_crash(nats_server: NatsServer) -> None:
    connection = await nats.connect(nats_server.url)
    stream = connection.jetstream()
    await stream.add_stream(name="S", subjects=["s.>"])
    await stream.publish("s.1", b"kept")
    await connection.close()
    nats_server.kill()
    nats_server.start()
    connection = await nats.connect(nats_server.url)
    assert (await connection.jetstream().get_last_msg("S", "s.1")).data == b"kept"
    await connection.close()


def test_the_broker_syncs_before_it_acknowledges(nats_server: NatsServer) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{nats_server.broker.monitor_port}/jsz?config=1") as answer:
        assert json.load(answer)["config"]["sync_always"] is True


async def test_a_user_cannot_say_what_the_topology_does_not_give_it(nats_server: NatsServer) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()

    async def hear(error: Exception) -> None:
        said.put_nowait(str(error))

    connection = await nats.connect(
        nats_server.bare_url,
        nkeys_seed=str(nats_server.seed_file("verifier")),
        error_cb=hear,
        inbox_prefix=b"_INBOX_verifier",
    )
    with pytest.raises((NoRespondersError, TimeoutError)):
        await connection.request("tierproof.verification.settled.v1.k.r", b"allowed, nobody listens", timeout=0.3)
    assert said.empty()
    await connection.publish("tierproof.result.released.v1.acme.t", b"forged")
    assert "permissions violation for publish" in (await asyncio.wait_for(said.get(), 5)).lower()
    await connection.close()


def test_each_test_has_an_empty_database(database: str) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        connection.execute("CREATE TABLE left_over (n int)")
    assert tables == (0,)


def test_a_database_can_be_a_copy(postgres_server: PostgresServer) -> None:
    original = postgres_server.create_database()
    with psycopg.connect(postgres_server.dsn(original)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    copy = postgres_server.create_database(template=original)
    with psycopg.connect(postgres_server.dsn(copy)) as connection:
        assert connection.execute("SELECT n FROM t").fetchone() == (7,)
    postgres_server.drop_database(copy)
    postgres_server.drop_database(original)


def test_a_killed_database_server_comes_back(own_postgres: PostgresServer) -> None:
    with psycopg.connect(own_postgres.dsn()) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    own_postgres.kill()
    own_postgres.start()
    with psycopg.connect(own_postgres.dsn()) as connection:
        assert connection.execute("SELECT n FROM t").fetchone() == (7,)


def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.dsn(password="guessed"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_without_namespaces_runs_the_database_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    if not postgres.can_run_as_nobody():
        pytest.skip("the user nobody cannot reach the PostgreSQL programs of this environment")
    monkeypatch.setattr(postgres, "namespaces_work", lambda: False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = PostgresServer(Path(folder) / "server")
        assert server.cluster.identity is postgres.Identity.NOBODY
        server.start()
        try:
            assert psutil.Process(server.child.pid).username() == "nobody"
        finally:
            server.stop()
