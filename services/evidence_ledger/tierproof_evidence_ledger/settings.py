"""Settings of the evidence ledger. Shared ones begin with TIERPROOF_, its own with TIERPROOF_EVIDENCE_LEDGER_."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict
from tierproof_bus.settings import BusSettings
from tierproof_proofs.trust import Trust

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
    pg_eraser_dsn: str | None = Field(
        default=None, validation_alias=_shared("pg_eraser_dsn"), description="as ledger_eraser, for `erase` only"
    )
    pg_eraser_dsn_file: Path | None = Field(default=None, validation_alias=_shared("pg_eraser_dsn_file"))
    pg_holder_dsn: str | None = Field(
        default=None, validation_alias=_shared("pg_holder_dsn"), description="as ledger_holder, for holds only"
    )
    pg_holder_dsn_file: Path | None = Field(default=None, validation_alias=_shared("pg_holder_dsn_file"))

    log_name: str = Field(
        default="tierproof.local/ledger", max_length=200, description="the origin line of checkpoints"
    )
    log_key: str | None = Field(
        default=None,
        description="Ed25519 key that signs checkpoints: a file, made at first start, or a pkcs11: URI (RFC 7512)",
    )
    next_log_key: str | None = Field(default=None, description="the key to which the log goes over, as `log_key`")
    log_key_overlap: int = Field(
        default=10_000,
        ge=1,
        description="entries for which the old key signs beside the new one; more than a batch makes, or nobody can follow",
    )
    log_pq_key_file: Path | None = Field(
        default=None, description="ML-DSA-44 key that signs published checkpoints as well, made at first start"
    )
    text_key_file: Path | None = Field(
        default=None, description="32-byte key that wraps the keys of texts, made at first start"
    )

    mirror: Path | None = Field(
        default=None,
        description="folder on another volume that gets a second copy of every entry (c2sp.org/tlog-tiles)",
    )
    witness_policy: Path | None = Field(
        default=None, description="witnesses with their URLs and the quorum (c2sp.org/tlog-policy)"
    )
    witness_answer_seconds: float = Field(default=5.0, gt=0, description="how long a witness may take")
    witness_late_seconds: float = Field(
        default=0.5, gt=0, description="how long those who are late are waited for when the quorum is there"
    )
    witness_pause_seconds: float = Field(default=1.0, gt=0, description="time between two rounds before a term")
    witness_age_seconds: float = Field(
        default=300.0, gt=0, description="how far a cosignature's time may be from this clock"
    )
    tsa_url: str | None = Field(default=None, description="RFC 3161 time-stamp authority")
    tsa_certificates: Path | None = Field(default=None, description="PEM certificates of that authority")
    tsa_seconds: float = Field(default=10, gt=0, description="how long that authority may take")
    tsa_largest_reply: int = Field(default=65_536, ge=1024, description="bytes that its reply may have")
    stamp_minutes: float = Field(default=60, gt=0, description="time between two time stamps of a checkpoint")
    clock_minutes: float = Field(default=60, gt=0, description="time between two records of what the clocks say")
    verify_hours: float = Field(default=24, gt=0, description="time between two deep verifications")

    batch_events: int = Field(default=1024, ge=1, le=4096)
    batch_ms: Milliseconds = Field(default=15, description="how long a batch that is not full waits for more")
    relayed_at_once: int = Field(default=32, ge=1, le=1024, description="results and checkpoints published together")
    announce_ms: Milliseconds = Field(default=250, description="time between two published checkpoints")
    sweep_ms: Milliseconds = Field(default=1000, description="how often overdue tasks are looked for")
    grace_ms: Milliseconds = Field(
        default=30_000, description="grace after a deadline where no routing policy is known that names one"
    )
    undated_ms: Milliseconds = Field(
        default=600_000, description="time allowed to a submission that nobody accepted and that names none"
    )
    question_ms: int = Field(default=30_000, ge=0, description="how long one answer may take the database; 0: no limit")
    page_bytes: int = Field(default=1 << 20, ge=1 << 12, description="bytes of one page of an export or a search")
    silence_seconds: float = Field(default=4.0, gt=0, description="a consumer that says nothing for this long is lost")
    writer_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_writer")
    auditor_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_auditor")
    eraser_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_eraser")
    holder_password_file: Path | None = Field(default=None, description="for `migrate`: password of ledger_holder")
    pg_binaries: Path | None = Field(
        default=None, description="for `backup`: folder of PostgreSQL's programs, of the server's version"
    )
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

    @property
    def eraser_dsn(self) -> str:
        """The DSN of ledger_eraser; raises NotConfigured."""
        return _dsn(self.pg_eraser_dsn, self.pg_eraser_dsn_file, "TIERPROOF_PG_ERASER_DSN")

    @property
    def holder_dsn(self) -> str:
        """The DSN of ledger_holder; raises NotConfigured."""
        return _dsn(self.pg_holder_dsn, self.pg_holder_dsn_file, "TIERPROOF_PG_HOLDER_DSN")

    @property
    def log_key_place(self) -> str:
        """Where the key of the log is; raises NotConfigured."""
        if self.log_key is None:
            raise NotConfigured(
                f"{PREFIX}LOG_KEY is not set: name a file that only this service reads, or a pkcs11: URI"
            )
        return self.log_key

    @property
    def text_key_place(self) -> Path:
        """The file that wraps the keys of texts; raises NotConfigured."""
        if self.text_key_file is None:
            raise NotConfigured(f"{PREFIX}TEXT_KEY_FILE is not set: name a file that only this service reads")
        return self.text_key_file


def trust_of(settings: LedgerSettings) -> Trust:
    """Return whom this ledger's verification believes; raises NotConfigured and Malformed."""
    if settings.trust_file is None:
        raise NotConfigured("TIERPROOF_TRUST_FILE is not set: name the file with the public keys that readers believe")
    try:
        return Trust.from_json(settings.trust_file.read_bytes())
    except OSError as error:
        raise NotConfigured(f"TIERPROOF_TRUST_FILE: {error.strerror}") from None


def _dsn(given: str | None, file: Path | None, name: str) -> str:
    if given:
        return given
    if file is None:
        raise NotConfigured(f"neither {name} nor {name}_FILE is set: name the ledger's database")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise NotConfigured(f"{name}_FILE: {error.strerror}") from None
