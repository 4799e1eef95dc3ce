"""The broker's configuration for a container or a cluster, where keys come from the environment: `infra/nats/server.conf`.

`python -m tierproof_embedded nats-config` prints it; a test compares the committed file with the topology.
"""

from pathlib import Path

from tierproof_contracts import topology

from tierproof_embedded.nats_server import Broker, allowed, config_text

CLIENT_PORT, MONITOR_PORT = 4222, 8222
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container's own network
STORE = Path("/data")


def variable_of(user: str) -> str:
    """Return the environment variable that holds a user's public NKey."""
    return f"TIERPROOF_NKEY_{user.upper().replace('-', '_')}"


def cluster_config() -> str:
    """Return the configuration, with one demo tenant; `$NAME` is read from the server's environment. Pure."""
    users = (*topology.SERVICES, *topology.PEOPLE, topology.producer("demo"))
    return config_text(
        Broker(
            folder=STORE,
            host=EVERYWHERE,
            port=CLIENT_PORT,
            monitor_port=MONITOR_PORT,
            users=tuple(allowed(user, f"${variable_of(user.name)}") for user in users),
        )
    )
