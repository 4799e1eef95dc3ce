"""Settings of the evidence ledger. Shared ones begin with TIERPROOF_, its own with TIERPROOF_EVIDENCE_LEDGER_."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict
from tierproof_bus.settings import BusSettings

from tierproof_evidence_ledger.errors import NotConfigured

Milliseconds = Annotated[int, Field(ge=1)]
PREFIX = "TIERPROOF_EVIDENCE_LEDGER_"


def _shared(name: str) -> AliasChoices:
    return AliasChoices(f"TIERPROOF_{name.upper()}", name)


class LedgerSettings(BusSettings):
    """Who the log is, where it lies, and how it batches. A `*_dsn_file` holds the DSN where the environment must not."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix=PREFIX, populate_by_name=True)

    pg_dsn: str | None = Field(default=None, validation_alias=_shared("pg_dsn"), description="as ledger_writer")
    pg_dsn_file: Path | None = Field(default=None, validation_alias=_shared("pg_dsn_file"))
    pg_auditor_dsn: str | None = Field(
        default=None, validation_alias=_shared("pg_auditor_dsn"), description="as ledger_auditor"
    )
    pg_auditor_dsn_file: Path | None = Field(default=None, validation_alias=_shared("pg_auditor_dsn_file"))
    pg_owner_dsn: str | None = Field(
        default=None, validation_alias=_shared("pg_owner_dsn"), description="for `migrate` only: may create roles"
    )
    pg_owner_dsn_file: Path | None = Field(default=None, validation_alias=_shared("pg_owner_dsn_file"))

    log_name: str = Field(
        default="tierproof.local/ledger", max_length=200, description="the origin line of checkpoints"
    )
    log_key_file: Path | None = Field(
        default=None, description="Ed25519 key that signs checkpoints, made at first start"
    )
    text_key_file: Path | None = Field(
        default=None, description="32-byte key that wraps the keys of texts, made at first start"
    )

    batch_events: int = Field(default=512, ge=1, le=4096)
    batch_ms: Milliseconds = Field(default=15, description="how long a batch that is not full waits for more")
    relayed_at_once: int = Field(default=32, ge=1, le=1024, description="results and checkpoints published together")
    announce_ms: Milliseconds = Field(default=1000, description="least time between two published checkpoints")
    sweep_ms: Milliseconds = Field(default=1000, description="how often overdue tasks are looked for")
    grace_ms: Milliseconds = Field(
        default=30_000, description="grace after a deadline where no routing policy is known that names one"
    )
    undated_ms: Milliseconds = Field(
        default=600_000, description="time allowed to a submission that nobody accepted and that names none"
    )
    silence_seconds: float = Field(default=4.0, gt=0, description="a consumer that says nothing for this long is lost")
    writer_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_writer")
    auditor_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_auditor")
    eraser_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_eraser")
    migrations: Path | None = Field(default=None, description="folder of SQL migrations; default: the ones delivered")

    @property
    def writer_dsn(self) -> str:
        """The DSN of ledger_writer; raises NotConfigured."""
        return _dsn(self.pg_dsn, self.pg_dsn_file, "TIERPROOF_PG_DSN")

    @property
    def auditor_dsn(self) -> str:
        """The DSN of ledger_auditor; raises NotConfigured."""
        return _dsn(self.pg_auditor_dsn, self.pg_auditor_dsn_file, "TIERPROOF_PG_AUDITOR_DSN")

    @property
    def owner_dsn(self) -> str:
        """The DSN of whoever may migrate; raises NotConfigured."""
        return _dsn(self.pg_owner_dsn, self.pg_owner_dsn_file, "TIERPROOF_PG_OWNER_DSN")

    def key_file(self, which: str) -> Path:
        """Return the path of `log_key_file` or `text_key_file`; raises NotConfigured."""
        path: Path | None = getattr(self, which)
        if path is None:
            raise NotConfigured(f"{PREFIX}{which.upper()} is not set: name a file that only this service reads")
        return path


def _dsn(given: str | None, file: Path | None, name: str) -> str:
    if given:
        return given
    if file is None:
        raise NotConfigured(f"neither {name} nor {name}_FILE is set: name the ledger's database")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise NotConfigured(f"{name}_FILE: {error.strerror}") from None
