"""Settings that every service shares. A service's own come with its prefix, these with `TIERPROOF_` alone."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


def _common(name: str) -> AliasChoices:
    return AliasChoices(f"TIERPROOF_{name.upper()}", name)


class BusSettings(BaseSettings):
    """Where the broker is, who we are, and how patient we are. Subclass it with `env_prefix="TIERPROOF_<NAME>_"`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="TIERPROOF_", populate_by_name=True)

    nats_url: str = Field(default="nats://127.0.0.1:4222", validation_alias=_common("nats_url"))
    nkey_seed_file: Path | None = Field(
        default=None, validation_alias=_common("nkey_seed_file"), description="the NKey seed of this service's user"
    )
    nats_ca_file: Path | None = Field(default=None, validation_alias=_common("nats_ca_file"))
    monitoring_url: str | None = Field(
        default=None, validation_alias=_common("monitoring_url"), description="nats-server's HTTP port, for /jsz"
    )
    allow_unsynced_broker: bool = Field(default=False, validation_alias=_common("allow_unsynced_broker"))
    trust_file: Path | None = Field(
        default=None,
        validation_alias=_common("trust_file"),
        description="whom we believe: keys that may sign documents, by name",
    )
    http_host: str = Field(default="127.0.0.1", validation_alias=_common("http_host"))
    http_port: int | None = Field(
        default=None, ge=0, le=65535, validation_alias=_common("http_port"), description="health and metrics; 0: any"
    )
    log_level: str = Field(default="INFO", validation_alias=_common("log_level"))
    retry_delays: tuple[float, ...] = Field(
        default=(0.2, 1.0, 5.0, 15.0, 30.0), validation_alias=_common("retry_delays"), max_length=7
    )
    answer_seconds: Seconds = Field(default=5.0, validation_alias=_common("answer_seconds"))
    publish_tries: int = Field(default=3, ge=1, validation_alias=_common("publish_tries"))
    pull_seconds: Seconds = Field(default=2.0, validation_alias=_common("pull_seconds"))
    watch_seconds: Seconds = Field(default=2.0, validation_alias=_common("watch_seconds"))
    stalled_seconds: Seconds = Field(default=60.0, validation_alias=_common("stalled_seconds"))
    reconnect_seconds: Seconds = Field(default=0.5, validation_alias=_common("reconnect_seconds"))
    ping_seconds: int = Field(
        default=10, ge=1, validation_alias=_common("ping_seconds"), description="two unanswered pings end a connection"
    )
    grace_seconds: Seconds = Field(default=25.0, validation_alias=_common("grace_seconds"))
