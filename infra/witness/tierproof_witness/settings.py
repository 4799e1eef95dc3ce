"""What can be chosen about the witness: everything by an environment variable `TIERPROOF_WITNESS_...`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tierproof_witness.errors import NotConfigured

PREFIX = "TIERPROOF_WITNESS_"
Seconds = Annotated[float, Field(gt=0)]


class WitnessSettings(BaseSettings):
    """Who the witness is, which logs it accepts, where it remembers, and where it listens."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    name: str = Field(
        default="", description="its name in every cosignature, a URL without scheme, such as witness.example.com/w1"
    )
    http_host: str = Field(default="127.0.0.1", description="the address to listen on")
    http_port: int = Field(default=8470, ge=0, le=65535, description="the port to listen on; 0: any")
    store_file: Path | None = Field(default=None, description="what it has cosigned (SQLite); never lose it alone")
    key_file: Path | None = Field(default=None, description="Ed25519 key, PKCS#8 PEM, 0600; made with the store")
    mldsa_key_file: Path | None = Field(
        default=None, description="ML-DSA-44 key, PKCS#8 PEM, 0600; made with the store"
    )
    logs_file: Path | None = Field(
        default=None, description="verifier keys of the logs, one a line; read again when it changes"
    )
    largest_body: int = Field(default=131072, ge=4096, description="bytes of a submission; a larger one is refused")
    body_seconds: Seconds = Field(default=10.0, description="how long a client may take to send its submission")
    busy_seconds: Seconds = Field(default=10.0, description="how long to wait for the store's lock")
    grace_seconds: Seconds = Field(default=5.0, description="how long open answers may take when told to stop")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="the least severe line to write"
    )

    def path(self, which: str) -> Path:
        """Return one of the files; raises NotConfigured."""
        path: Path | None = getattr(self, which)
        if path is None:
            raise NotConfigured(f"{PREFIX}{which.upper()} is not set; --help says what it is for")
        return path


def described() -> str:
    """Return one line per setting: its variable, what it is for, its default."""
    lines = []
    for name, field in WitnessSettings.model_fields.items():
        default = "required" if field.default in {None, ""} else f"default {field.default}"
        lines.append(f"  {PREFIX}{name.upper():<16}{field.description} ({default})")
    return "\n".join(lines)
