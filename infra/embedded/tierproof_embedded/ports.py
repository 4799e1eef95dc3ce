"""Ports on the loopback address, chosen once and kept, so that clients find a restarted server again."""

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from tierproof_embedded.errors import PortTaken, StateUnreadable

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different: they are held together and let go at the end."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now; connections that linger from its last run do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(ports: Mapping[str, int]) -> None:
    """Raise PortTaken for the first port that another program holds."""
    for part, port in ports.items():
        if not is_free(port):
            raise PortTaken(part=part, port=port)


def keep(state: Path, names: Iterable[str]) -> dict[str, int]:
    """Return a port per name: those of the state file where it knows them, new ones (written there) otherwise.

    Raises StateUnreadable for a damaged file.
    """
    known = read(state)
    missing = [name for name in names if name not in known]
    if missing:
        chosen = [port for port in free_ports(len(missing) + len(known)) if port not in known.values()]
        known |= dict(zip(missing, chosen, strict=False))
        write_whole(state, json.dumps({"ports": known}, indent=2, sort_keys=True) + "\n")
    return {name: known[name] for name in names}


def read(state: Path) -> dict[str, int]:
    """Return the ports of a state file, none when there is no file; raises StateUnreadable."""
    try:
        return {str(name): int(port) for name, port in json.loads(state.read_text())["ports"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, AttributeError, TypeError) as damage:
        raise StateUnreadable(path=state) from damage


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never a part; mode 0600."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
