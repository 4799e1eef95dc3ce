"""Everything that steers the model server, as frozen values; no threshold is written elsewhere."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

EngineKind = Literal["openvino", "noop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the engine computes and what it bounds. The three precision settings are what makes answers repeatable."""

    threads: int = 2
    cache_gigabytes: int = 1
    most_batched_tokens: int = 256
    most_sequences: int = 16
    precision: str = "f32"  # INFERENCE_PRECISION_HINT
    cache_precision: str = "f32"  # KV_CACHE_PRECISION
    dynamic_quantization_group: str = "0"  # DYNAMIC_QUANTIZATION_GROUP_SIZE
    fairness_quantum_seconds: float = 1.5  # a waiting adapter group stops admission to the running one after this long
    most_prompt_tokens: int = 2048
    most_prompt_bytes: int = 65_536
    most_output_tokens: int = 1024
    most_waiting: int = 256
    most_request_seconds: float = 120.0
    most_adapter_bytes: int = 64_000_000
    most_adapters: int = 16
    most_schema_bytes: int = 32_768
    most_schema_depth: int = 12
    cancel_poll_seconds: float = 0.05  # how often a proxy looks whether its client has gone

    def as_facts(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSettings:
    """The decode limits of one tier: the cap of generated tokens, and the temperature when a request names none."""

    name: str
    most_output_tokens: int
    default_temperature: float = 0.0


TIERS = (
    TierSettings(name="tier_s", most_output_tokens=128),
    TierSettings(name="tier_m", most_output_tokens=256),
    TierSettings(name="tier_l", most_output_tokens=512),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServerLayout:
    """Where a model repository is written and what stands in it.

    home: the server's own folder (repository, backends, log, private copies of adapters); base: the folder of the prepared base, not
    needed for the no-op engine; adapters: the folder below which every lora_path must lie; heads: the file of the triage heads, without
    which there is no model `triage` (the no-op engine needs none).
    """

    home: Path
    adapters: Path
    base: Path | None = None
    heads: Path | None = None
    engine: EngineKind = "openvino"
    settings: EngineSettings = field(default_factory=EngineSettings)
    tiers: tuple[TierSettings, ...] = TIERS

    @property
    def repository(self) -> Path:
        """Return Triton's model repository."""
        return self.home / "repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Addresses and patience of the server process. All ports are on the loopback interface unless `address` says otherwise."""

    http_port: int
    grpc_port: int
    metrics_port: int
    address: str = "127.0.0.1"
    shm_prefix: str = "tierproof"
    shm_bytes: int = 1_048_576
    exit_seconds: int = 5
    ready_seconds: float = 60.0
