"""The curator's settings: where snapshots lie, what is taken, how much memory a build holds."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from tierproof_bus.settings import BusSettings

from tierproof_curator.records import LABELS

MIB = 2**20


class CuratorSettings(BaseSettings):
    """Read from `TIERPROOF_CURATOR_...`: what the command line needs."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="TIERPROOF_CURATOR_", extra="ignore")

    datasets: Path = Field(default=Path("datasets"), description="the folder of snapshots")
    key_file: Path = Field(
        default=Path("datasets/curator.pem"), description="signs statements; made at the first build"
    )
    labels: tuple[str, ...] = LABELS
    licences: tuple[str, ...] = (
        "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "MIT", "PSF-2.0", "LicenseRef-internal",
    )  # fmt: skip
    longest_line: int = Field(
        default=4 * MIB, ge=1024, description="bytes; a longer line is refused before it is in memory"
    )
    memory: int = Field(default=64 * MIB, ge=MIB, description="bytes of records held while sorting")


class CuratorServiceSettings(CuratorSettings, BusSettings):
    """The service's: also the bus, the inbox of record files and the folder of sealed sets."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="TIERPROOF_CURATOR_", extra="ignore", populate_by_name=True
    )

    inbox: Path = Field(default=Path("datasets/inbox"), description="record files that requests may name")
    sealed: Path = Field(default=Path("datasets/sealed"), description="examinations as hashed n-grams, *.sealed")
