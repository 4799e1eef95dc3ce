"""Where the parts of one stack are: chosen here, or named by TIERPROOF_NATS_URL, ..._PG_DSN, ..._TRITON_URL and ..._TSA_URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from tierproof_embedded import keys, ports
from tierproof_embedded.layout import Layout
from tierproof_embedded.postgres import SUPERUSER
from tierproof_embedded.settings import EmbeddedSettings

DATABASE = "tierproof"
SERVERS = ("nats", "nats_monitor", "postgres", "triton_http", "triton_grpc", "triton_metrics", "tsa", "witness")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """URLs of one stack. `owner_dsn` may create roles; `monitoring_url` is None for a broker that is not ours."""

    nats_url: str
    monitoring_url: str | None
    owner_dsn: str = field(repr=False)
    triton_url: str
    tsa_url: str
    witness_url: str
    ports: Mapping[str, int]


def choose(layout: Layout, settings: EmbeddedSettings, services: tuple[str, ...]) -> Endpoints:
    """Return the endpoints of a state folder; ports and the database password are created at the first call."""
    chosen = ports.keep(layout.state, (*SERVERS, *services))
    at = ports.LOOPBACK
    secret = keys.password(layout.keys, "postgres")
    return Endpoints(
        nats_url=settings.nats_url or f"nats://{at}:{chosen['nats']}",
        monitoring_url=f"http://{at}:{chosen['nats_monitor']}" if settings.nats_url is None else None,
        owner_dsn=settings.pg_dsn or f"postgresql://{SUPERUSER}:{secret}@{at}:{chosen['postgres']}/{DATABASE}",
        triton_url=settings.triton_url or f"{at}:{chosen['triton_grpc']}",
        tsa_url=settings.tsa_url or f"http://{at}:{chosen['tsa']}/",
        witness_url=f"http://{at}:{chosen['witness']}",
        ports=chosen,
    )


def with_role(dsn: str, role: str, password: str) -> str:
    """Return a database URL for another role."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{place}"))
