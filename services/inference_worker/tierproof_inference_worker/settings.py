"""The inference worker's settings: which tier, which server, and how long it waits for what."""

import socket
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict
from tierproof_bus.settings import BusSettings, Seconds
from tierproof_contracts.slip import Tier

from tierproof_inference_worker.profiles import ProfileName

LONGEST_REPLICA = 64


class InferenceWorkerSettings(BusSettings):
    """Read from `TIERPROOF_INFERENCE_WORKER_...`; `TIERPROOF_TRITON_URL` names the server's gRPC port."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="TIERPROOF_INFERENCE_WORKER_", extra="ignore", populate_by_name=True
    )

    tier: Tier
    triton_url: str = Field(
        default="127.0.0.1:8001", validation_alias=AliasChoices("TIERPROOF_TRITON_URL", "triton_url")
    )
    profile: ProfileName = "trtllm-llmapi"
    model: str | None = Field(default=None, description="the tier's model on the server; `tier_<tier>` when not set")
    also_models: tuple[str, ...] = Field(
        default=(),
        description="further models of this tier on the same server, such as `triage`; a request names its own",
    )
    recovered_models: tuple[str, ...] = Field(
        default=(), description="models behind the tier's own, unloaded and loaded before it in a recovery"
    )
    adapters_folder: Path | None = Field(
        default=None, description="<folder>/<name>/adapter_model.safetensors, as we see it"
    )
    adapters_on_server: str | None = Field(default=None, description="the same folder as the server sees it")
    workers: int = Field(default=4, ge=1)
    idle_seconds: Seconds = Field(default=20.0, description="a stream that says nothing for so long has stalled")
    first_seconds: Seconds = Field(
        default=60.0, description="until a stream's first words: requests queue in the engine"
    )
    call_seconds: Seconds = Field(default=5.0, description="for questions about metadata and configuration")
    retry_seconds: Seconds = Field(default=1.0, description="between looks at a server that is down")
    probe_every_seconds: Seconds = 30.0
    load_seconds: Seconds = Field(default=60.0, description="for loading a model in a recovery")
    deaths_survived: int = Field(
        default=1, ge=0, description="deaths of the model's backend after which a request is still asked again"
    )
    stalls_before_recovery: int = Field(default=2, ge=1)
    probe_text: str = "Say yes."
    replica: str = Field(default_factory=lambda: socket.gethostname()[:LONGEST_REPLICA], max_length=LONGEST_REPLICA)

    @property
    def user(self) -> str:
        """The service's name in the topology."""
        return f"inference-worker-{self.tier}"

    @property
    def model_name(self) -> str:
        """The model on the server."""
        return self.model or f"tier_{self.tier}"
