"""Real servers for tests: started in milliseconds, crashed and started again on the same port and store."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tierproof_contracts import topology

from tierproof_embedded import keys, ports
from tierproof_embedded import nats_server as nats
from tierproof_embedded import postgres as pg
from tierproof_embedded.errors import NotReadyInTime
from tierproof_embedded.process import Child, wait_until_ready

TENANTS = ("acme", "globex")
SECONDS_TO_START = 30.0
FAST = {"fsync": "off", "shared_buffers": "32MB"}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "256MB"}
TESTER = "tester"  # the password of servers that live as long as a test


class Server:
    """A server under test: stop it, crash it, start it again on the same port and store."""

    def __init__(self, child: Child, ready: Callable[[], bool]) -> None:
        self.child = child
        self._ready = ready

    def start(self) -> None:
        """Start and wait until it answers."""
        self.child.start()
        if not wait_until_ready(self.child, self._ready, SECONDS_TO_START):
            raise NotReadyInTime(parts=(self.child.name,), seconds=SECONDS_TO_START, logs=self.child.log)

    def stop(self) -> None:
        """Stop in order, and leave nothing behind."""
        self.child.stop()

    def kill(self) -> None:
        """Crash it."""
        self.child.kill()


class NatsServer(Server):
    """A broker with the users of the topology, two tenants (acme, globex), and a tester who may do everything."""

    def __init__(self, folder: Path) -> None:
        users = (*topology.SERVICES, *topology.PEOPLE, *(topology.producer(tenant) for tenant in TENANTS))
        self._keys = folder / "keys"
        public = keys.user_keys(self._keys, (user.name for user in users))
        port, monitor = ports.free_ports(2)
        self.broker = nats.Broker(
            folder=folder,
            port=port,
            monitor_port=monitor,
            users=tuple(nats.allowed(user, public[user.name]) for user in users),
            name="under-test",
            tester=TESTER,
        )
        child = Child("nats", nats.command(self.broker), log=folder / "nats.log", pid_file=folder / "nats.pid")
        super().__init__(child, lambda: nats.is_ready(self.broker))

    @property
    def url(self) -> str:
        """The tester's URL: everything is allowed."""
        return f"nats://tester:{TESTER}@127.0.0.1:{self.broker.port}"

    @property
    def bare_url(self) -> str:
        """The URL without a user: add the NKey of `seed_file`."""
        return self.broker.url

    def seed_file(self, user: str) -> Path:
        """Return the NKey seed file of a topology user, such as `router` or `app-acme`."""
        return keys.seed_file(self._keys, user)


class PostgresServer(Server):
    """A database server; unless it is `durable`, with fast, unsafe writes: tests crash processes, not machines."""

    def __init__(self, folder: Path, template: Path | None = None, *, durable: bool = False) -> None:
        self.cluster = pg.Cluster(
            folder=folder / "cluster",
            port=ports.free_ports(1)[0],
            password=TESTER,
            identity=pg.identity_here(),
            settings={"max_connections": "100", **(DURABLE if durable else FAST)},
        )
        if template is not None:
            shutil.copytree(template, self.cluster.folder, copy_function=shutil.copy2)
        pg.initialise(self.cluster)
        child = Child("postgres", pg.command(self.cluster), log=folder / "postgres.log", pid_file=folder / "pg.pid")
        super().__init__(child, lambda: pg.is_ready(self.cluster))
        self._databases = 0

    def dsn(self, database: str = "postgres", user: str = pg.SUPERUSER, password: str | None = None) -> str:
        """Return the URL of a database for a role."""
        return self.cluster.dsn(database, user, password)

    def create_database(self, template: str = "template0") -> str:
        """Create a database, empty or a copy of another one, and return its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        pg.run_sql(self.dsn(), f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and end its connections."""
        pg.run_sql(self.dsn(), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
