"""Fixtures that every suite shares: a real broker, a real database, no sockets in unit tests.

nats_server        one fresh broker per test (about 50 ms): `.url` lets a tester do everything, `.seed_file(user)` is the NKey of a
                   topology user with exactly its permissions; `.kill()` and `.start()` for crash tests (same port, same store)
start_nats         the same as a context manager, for a fixture of wider scope: `with start_nats() as server`
database           one empty database per test: the DSN of its superuser
postgres_server    the server behind it, one per session: `.create_database(template=...)`, `.drop_database(name)`, `.dsn(name)`
own_postgres       a server of its own, for tests that kill it: `.kill()`, `.start()`
vectors            the folder of public test vectors (TIERPROOF_VECTORS); a test that asks for it is skipped where there is none

Tests below tests/unit may not open a socket. The types are tierproof_embedded.testing.NatsServer and PostgresServer.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import pytest
from tierproof_embedded.testing import NatsServer, PostgresServer


@pytest.fixture(scope="session")
def start_nats(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[NatsServer]]:
    """Return a context manager that runs a broker of its own."""

    @contextlib.contextmanager
    def start() -> Iterator[NatsServer]:
        server = NatsServer(tmp_path_factory.mktemp("nats"))
        server.start()
        try:
            yield server
        finally:
            server.stop()

    return start


@pytest.fixture
def nats_server(start_nats: Callable[[], AbstractContextManager[NatsServer]]) -> Iterator[NatsServer]:
    """Run a fresh broker for one test."""
    with start_nats() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Run one database server for the whole session."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """Return the DSN of an empty database, dropped after the test."""
    name = postgres_server.create_database()
    try:
        yield postgres_server.dsn(name)
    finally:
        postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def cluster_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a data folder once, to be copied (0.2 s) where creating one takes a second."""
    return PostgresServer(tmp_path_factory.mktemp("template")).cluster.folder


@pytest.fixture
def own_postgres(tmp_path: Path, cluster_template: Path) -> Iterator[PostgresServer]:
    """Run a database server that the test may kill."""
    server = PostgresServer(tmp_path, cluster_template)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Return the folder of public test vectors."""
    named = os.environ.get("TIERPROOF_VECTORS")
    if not named or not Path(named).is_dir():
        pytest.skip("TIERPROOF_VECTORS names no folder of public test vectors")
    return Path(named).absolute()


class _NoSocket(socket.socket):
    """Refuses to be made, except for the socket pair through which an event loop wakes itself, and in threads that are not the test's."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        family = args[0] if args else kwargs.get("family", socket.AF_INET)
        if family == socket.AF_UNIX or threading.current_thread() is not threading.main_thread():
            return super().__new__(cls)
        raise AssertionError("a unit test opened a socket; it belongs to tests/integration")


@pytest.fixture(autouse=True)
def _no_socket_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "unit" in request.path.relative_to(request.config.rootpath).parts[:2]:
        monkeypatch.setattr(socket, "socket", _NoSocket)
