"""What can be chosen about the authority: everything by an environment variable `TIERPROOF_TSA_...`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tierproof_tsa.errors import NotConfigured

PREFIX = "TIERPROOF_TSA_"
Seconds = Annotated[float, Field(gt=0)]


class TsaSettings(BaseSettings):
    """Where the authority listens, what it remembers, and what its tokens say."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    http_host: str = Field(default="127.0.0.1", description="the address to listen on")
    http_port: int = Field(default=3161, ge=0, le=65535, description="the port to listen on; 0: any")
    key_file: Path | None = Field(
        default=None, description="ECDSA P-256 key, PKCS#8 PEM, 0600; made at the first start"
    )
    certificate_file: Path | None = Field(default=None, description="its certificate, PEM; made at the first start")
    state_file: Path | None = Field(default=None, description="the last time given out; one authority per file")
    name: str = Field(
        default="tierproof local time-stamp authority",
        min_length=1,
        max_length=64,
        description="the common name of a new certificate",
    )
    certificate_days: int = Field(default=3650, ge=1, description="how long a new certificate is valid")
    policy: str = Field(
        default="2.25.86592305481745674193318159137117298696",
        pattern=r"^[0-2](\.(0|[1-9]\d*))+$",
        description="the policy's OID, of your own arc; the default belongs to the delivered authority alone (UUID arc)",
    )
    accuracy_ms: int = Field(default=1000, ge=1, description="how far from UTC the clock may be, as the tokens claim")
    largest_query: int = Field(default=4096, ge=128, description="bytes of a query's body; a larger one is refused")
    body_seconds: Seconds = Field(default=10.0, description="how long a client may take to send its query")
    grace_seconds: Seconds = Field(default=5.0, description="how long open answers may take when told to stop")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="the least severe line to write"
    )

    def path(self, which: str) -> Path:
        """Return `key_file`, `certificate_file` or `state_file`; raises NotConfigured."""
        path: Path | None = getattr(self, which)
        if path is None:
            raise NotConfigured(f"{PREFIX}{which.upper()} is not set: name a file that only this authority uses")
        return path


def described() -> str:
    """Return one line per setting: its variable, what it is for, its default."""
    lines = []
    for name, field in TsaSettings.model_fields.items():
        default = "required" if field.default is None else f"default {field.default}"
        lines.append(f"  {PREFIX}{name.upper():<18}{field.description} ({default})")
    return "\n".join(lines)
