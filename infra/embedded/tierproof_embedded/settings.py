"""What can be chosen about the embedded stack: everything by an environment variable `TIERPROOF_...`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tierproof_embedded.layout import Layout
from tierproof_embedded.plan import Restarts
from tierproof_embedded.supervisor import Tuning

MEBIBYTE = 2**20


class EmbeddedSettings(BaseSettings):
    """Where the state lies, which parts are real servers elsewhere, and how patient the supervisor is. Times in seconds."""

    model_config = SettingsConfigDict(env_prefix="TIERPROOF_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".tierproof"), description="the state folder")
    nats_url: str | None = Field(default=None, description="a NATS server to use instead of an own one")
    pg_dsn: str | None = Field(
        default=None, description="a PostgreSQL database to use instead of an own server", repr=False
    )
    triton_url: str | None = Field(
        default=None, description="a Triton server (host:port of gRPC) to use instead of an own one"
    )
    tsa_url: str | None = Field(
        default=None, description="an RFC 3161 time-stamp authority to use instead of an own one; with tsa_certificates"
    )
    tsa_certificates: Path | None = Field(default=None, description="PEM certificates of that authority, or its roots")

    only: tuple[str, ...] = Field(default=(), description="start these parts and what they need; everything when empty")
    training: bool = Field(default=False, description="start curator and trainer, too")
    tenants: tuple[str, ...] = Field(default=("demo",), description="tenants whose programs get a NATS user")
    tiers: tuple[str, ...] = Field(default=("s", "m", "l"), description="tiers that get an inference worker")

    fleet: Path | None = Field(
        default=None, description="folder of the unsigned documents; the delivered ones by default"
    )
    witness_name: str = Field(default="tierproof.local/witness", description="the name of the stack's own witness")
    log_name: str = Field(default="tierproof.local/ledger", description="the origin line of the ledger's checkpoints")
    replicas: int = Field(default=1, ge=1, description="copies of each stream; more than 1 needs a cluster")

    ack_wait: float | None = Field(
        default=None, description="seconds after which an unacknowledged message comes again; the topology's by default"
    )
    model_engine: Literal["openvino", "noop"] = Field(
        default="openvino", description="`noop` answers without a model, for load tests"
    )
    nats_largest_memory: int = Field(default=256 * MEBIBYTE, description="bytes of streams kept in memory")
    nats_largest_store: int = Field(default=8192 * MEBIBYTE, description="bytes of streams on disk")
    nats_largest_message: int = Field(default=8 * MEBIBYTE, description="bytes of one message")
    pg_shared_buffers: str = Field(default="64MB", description="PostgreSQL's own cache")
    pg_max_connections: int = 40

    start_patience: float = Field(default=120.0, description="how long the whole stack may take to become ready")
    part_patience: float = Field(default=90.0, description="how long one part may take, before it is started again")
    restart_first_pause: float = 0.25
    restart_longest_pause: float = 15.0
    restart_calm: float = Field(default=60.0, description="ready for that long, earlier failures are forgotten")
    restart_limit: int = Field(default=8, description="failures in a row after which a part is given up")
    look_while_starting: float = 0.05
    look_when_ready: float = 0.2
    pulse: float = Field(default=5.0, description="how often a ready service is asked whether it does its work")
    silent_looks: int = Field(
        default=3, ge=1, description="times in a row that it may say no before it is started again"
    )
    largest_log: int = Field(default=16 * MEBIBYTE, description="bytes after which a log is moved aside")
    logs_kept: int = 2
    least_disk: int = Field(default=2048 * MEBIBYTE, description="bytes of free disk below which `doctor` complains")
    least_memory: int = Field(
        default=3072 * MEBIBYTE, description="bytes of free memory below which `doctor` complains"
    )
    service_grace: float = Field(
        default=30.0, description="how long a service may take to finish its work when told to stop"
    )
    stop_patience: float = Field(default=60.0, description="how long `tierproof down` waits")

    @property
    def layout(self) -> Layout:
        """The paths below the state folder."""
        return Layout.at(self.home)

    @property
    def tuning(self) -> Tuning:
        """The supervisor's numbers."""
        return Tuning(
            restarts=Restarts(
                first=self.restart_first_pause,
                longest=self.restart_longest_pause,
                calm=self.restart_calm,
                limit=self.restart_limit,
                patience=self.part_patience,
            ),
            pulse=self.pulse,
            silent_looks=self.silent_looks,
            look_while_starting=self.look_while_starting,
            look_when_ready=self.look_when_ready,
            largest_log=self.largest_log,
            logs_kept=self.logs_kept,
        )
