"""The model server as a part of a stack: the base model is prepared once, its digests pin the fleet, and Triton serves it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tierproof_model_server.errors import ModelServerError
from tierproof_model_server.launch import clean_shared_memory, server_command
from tierproof_model_server.prepare import prepare_base
from tierproof_model_server.repository import BASE, TRIAGE, reported, reported_of_triage
from tierproof_model_server.settings import ModelServerLayout, ServerSettings

from tierproof_embedded import ports
from tierproof_embedded.adapters import HEADS
from tierproof_embedded.documents import fleet_folder
from tierproof_embedded.endpoints import Endpoints
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.nats_server import answers_ok
from tierproof_embedded.pins import OPEN, Pins
from tierproof_embedded.process import Command
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part

TRITON, TRIAGE_TIER = "triton", "s"
PORTS = ("triton_http", "triton_grpc", "triton_metrics")


def adapters_folder(layout: Layout) -> Path:
    """Return the folder of LoRA adapters, as workers and model server see it."""
    return layout.models / "adapters"


def heads_file(settings: EmbeddedSettings) -> Path | None:
    """Return the delivered file of the triage heads, None when this fleet has none; what is served is the copy that was installed."""
    path = (settings.fleet or fleet_folder()) / "adapters" / TRIAGE / HEADS
    return path if path.is_file() else None


def repository_of(layout: Layout, settings: EmbeddedSettings) -> ModelServerLayout:
    """Return where the model server's repository, base and adapters are."""
    real = settings.model_engine == "openvino"
    return ModelServerLayout(
        home=layout.models / "server",
        adapters=adapters_folder(layout),
        base=layout.models / "base" if real else None,
        heads=adapters_folder(layout) / TRIAGE / HEADS if real and heads_file(settings) else None,
        engine=settings.model_engine,
    )


def local_pins(layout: Layout, settings: EmbeddedSettings, progress: Callable[[str], None]) -> Pins:
    """Prepare the base model unless it is there, and return the digests that the local model server reports.

    Open ones when a real Triton is named. Raises StepFailed.
    """
    if settings.triton_url is not None:
        return Pins(weights=OPEN, tokenizer=OPEN, engine=OPEN)
    served = repository_of(layout, settings)
    try:
        if served.base is not None:
            prepare_base(served.base, progress=progress)
        digests = reported(served)
        of_triage = reported_of_triage(replace(served, heads=heads_file(settings)))
    except ModelServerError as error:
        raise StepFailed(step="preparing the base model", said=error.diagnosis()) from error
    return _pins(digests, triage=_pins(of_triage))


def _pins(digests: Mapping[str, str], triage: Pins | None = None) -> Pins:
    return Pins(
        weights=digests["weights_digest"],
        tokenizer=digests["tokenizer_digest"],
        engine=digests["engine_digest"],
        triage=triage,
    )


def shared_memory_prefix(layout: Layout) -> str:
    """Return the prefix of the server's shared memory, which tells this state folder's regions from another's."""
    return f"tierproof-{hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]}-"


def model_parts(layout: Layout, settings: EmbeddedSettings, endpoints: Endpoints) -> list[Part]:
    """Return the parts that make the tiers answer; none when a real Triton is named."""
    if settings.triton_url is not None:
        return []
    chosen = {name: endpoints.ports[name] for name in PORTS}
    http, grpc, metrics = chosen.values()
    prefix = shared_memory_prefix(layout)
    server = ServerSettings(http_port=http, grpc_port=grpc, metrics_port=metrics, shm_prefix=prefix)

    def command() -> Command:
        ports.require_free(chosen)
        clean_shared_memory(prefix)
        adapters_folder(layout).mkdir(parents=True, exist_ok=True)
        try:
            wanted = server_command(repository_of(layout, settings), server)
        except ModelServerError as error:
            raise StepFailed(step="writing the model repository", said=error.diagnosis()) from error
        grace = 2.0 * server.exit_seconds
        return Command(argv=wanted.argv, environment=wanted.env, folder=wanted.cwd, grace=grace)

    return [
        Part(
            name=TRITON,
            command=command,
            ready=lambda: answers_ok(http, "/v2/health/ready"),
            alive=lambda: answers_ok(http, "/v2/health/live"),
            tidy=lambda: _tidy(prefix),
        )
    ]


def worker_environment(layout: Layout, endpoints: Endpoints, tier: str, settings: EmbeddedSettings) -> dict[str, str]:
    """Return the variables of one tier's inference worker."""
    own = {"TIERPROOF_INFERENCE_WORKER_TIER": tier, "TIERPROOF_TRITON_URL": endpoints.triton_url}
    if tier == TRIAGE_TIER and (settings.model_engine == "noop" or heads_file(settings) is not None):
        own["TIERPROOF_INFERENCE_WORKER_ALSO_MODELS"] = json.dumps([TRIAGE])
    if settings.triton_url is not None:
        return own
    folder = str(adapters_folder(layout))
    behind = [BASE] if settings.model_engine == "openvino" else []
    return {
        **own,
        "TIERPROOF_INFERENCE_WORKER_ADAPTERS_FOLDER": folder,
        "TIERPROOF_INFERENCE_WORKER_ADAPTERS_ON_SERVER": folder,
        "TIERPROOF_INFERENCE_WORKER_RECOVERED_MODELS": json.dumps(behind),
    }


def _tidy(prefix: str) -> None:
    clean_shared_memory(prefix)
