"""The broker and the database as parts of a stack."""

from collections.abc import Mapping

from tierproof_contracts import topology

from tierproof_embedded import keys, ports
from tierproof_embedded import nats_server as nats
from tierproof_embedded import postgres as pg
from tierproof_embedded.layout import Layout
from tierproof_embedded.process import Command
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part


def users(tenants: tuple[str, ...]) -> tuple[topology.User, ...]:
    """Return all users of a broker: services, people, and one per tenant for its programs."""
    return (*topology.SERVICES, *topology.PEOPLE, *(topology.producer(tenant) for tenant in tenants))


def broker_of(layout: Layout, settings: EmbeddedSettings, chosen: Mapping[str, int]) -> nats.Broker:
    """Return the broker of a state folder, creating the users' keys that are missing."""
    known = users(settings.tenants)
    public = keys.user_keys(layout.keys, (user.name for user in known))
    return nats.Broker(
        folder=layout.nats,
        port=chosen["nats"],
        monitor_port=chosen["nats_monitor"],
        users=tuple(nats.allowed(user, public[user.name]) for user in known),
        largest_memory=settings.nats_largest_memory,
        largest_store=settings.nats_largest_store,
        largest_message=settings.nats_largest_message,
    )


def cluster_of(layout: Layout, settings: EmbeddedSettings, chosen: Mapping[str, int]) -> pg.Cluster:
    """Return the database cluster of a state folder, creating the superuser's password when it is missing."""
    return pg.Cluster(
        folder=layout.postgres,
        port=chosen["postgres"],
        password=keys.password(layout.keys, "postgres"),
        identity=pg.identity_here(),
        settings={"shared_buffers": settings.pg_shared_buffers, "max_connections": str(settings.pg_max_connections)},
    )


def broker_part(broker: nats.Broker) -> Part:
    """Return the broker as a part."""

    def command() -> Command:
        ports.require_free({"nats": broker.port, "nats monitoring": broker.monitor_port})
        return nats.command(broker)

    return Part(name="nats", command=command, ready=lambda: nats.is_ready(broker))


def database_part(cluster: pg.Cluster) -> Part:
    """Return the database server as a part; the cluster is created at the first start."""

    def command() -> Command:
        ports.require_free({"postgres": cluster.port})
        pg.initialise(cluster)
        pg.forget_empty_lock(cluster)
        return pg.command(cluster)

    return Part(name="postgres", command=command, ready=lambda: pg.is_ready(cluster))
