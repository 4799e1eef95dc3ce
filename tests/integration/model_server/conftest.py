"""One real server for the session, on a base that is prepared once; and a small client that reads streams."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tierproof_model_server.launch import RunningServer, running_server
from tierproof_model_server.prepare import PreparedBase, prepare_base
from tierproof_model_server.reference_adapters import ReferenceAdapter, write_reference_adapter
from tierproof_model_server.settings import EngineSettings, ModelServerLayout
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

HEADS = Path(__file__).resolve().parents[3] / "infra/fleet/adapters/triage/heads.safetensors"
KINDS = {str: ("BYTES", object), bool: ("BOOL", bool)}
NUMBERS = {
    "sampling_param_max_tokens": ("INT32", np.int32),
    "sampling_param_top_k": ("INT32", np.int32),
    "sampling_param_temperature": ("FP32", np.float32),
    "sampling_param_top_p": ("FP32", np.float32),
    "sampling_param_seed": ("UINT64", np.uint64),
    "lora_id": ("UINT64", np.uint64),
}


@dataclass(kw_only=True)
class Spoken:
    """One answer as a client sees it."""

    deltas: list[str] = field(default_factory=list)
    outputs: list[set[str]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    @property
    def ids(self) -> list[int]:
        return list(json.loads(self.last["tierproof_token_logprobs"])["ids"])

    @property
    def logprobs(self) -> list[float]:
        return list(json.loads(self.last["tierproof_token_logprobs"])["logprobs"])


def tensor(name: str, value: Any) -> InferInput:
    kind, element = NUMBERS.get(name) or KINDS[type(value)]
    made = InferInput(name, [1], kind)
    made.set_data_from_numpy(np.array([value.encode() if isinstance(value, str) else value], dtype=element))
    return made


def request_of(
    model: str, prompt: str, *, parameters: dict[str, Any] | None = None, timeout: int | None = None, **inputs: Any
) -> dict[str, Any]:
    given = {"text_input": prompt, "streaming": True, **inputs}
    return {
        "model_name": model,
        "inputs": [tensor(name, value) for name, value in given.items()],
        "parameters": parameters,
        "timeout": timeout,
        "enable_empty_final_response": True,
    }


def stream_of(client: InferenceServerClient, request: dict[str, Any]) -> Any:
    async def once() -> AsyncIterator[dict[str, Any]]:
        yield request

    return client.stream_infer(once())


def value_of(result: Any, name: str) -> Any:
    value = result.as_numpy(name).reshape(-1)[0]
    return value.decode() if isinstance(value, bytes) else value.item()


async def read(responses: Any, *, idle_seconds: float = 60.0) -> Spoken:
    """Read a stream to its end; TimeoutError when nothing comes for so long, InferenceServerException for an error."""
    spoken = Spoken()
    while True:
        result, error = await asyncio.wait_for(anext(responses), idle_seconds)
        if error is not None:
            raise error
        response = result.get_response()
        names = {output.name for output in response.outputs}
        if names:
            spoken.outputs.append(names)
            spoken.deltas.append(value_of(result, "text_output"))
        if "finish_reason" in names:
            spoken.last = {name: value_of(result, name) for name in names}
        if response.parameters["triton_final_response"].bool_param:
            return spoken


Ask = Callable[..., Awaitable[Spoken]]


@pytest.fixture
def asking() -> Callable[..., dict[str, Any]]:
    """Return the function that makes a request of tensors."""
    return request_of


@pytest.fixture
def stream() -> Callable[..., Any]:
    """Return the function that sends one request."""
    return stream_of


@pytest.fixture
def heard() -> Callable[..., Awaitable[Spoken]]:
    """Return the function that reads a stream to its end."""
    return read


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder in which the base is prepared once for all runs."""
    default = Path(__file__).resolve().parents[3] / ".tierproof"
    return Path(os.environ.get("TIERPROOF_HOME", default)).absolute() / "models"


@pytest.fixture(scope="session")
def base(models: Path) -> PreparedBase:
    return prepare_base(models / "base", progress=print)


@pytest.fixture(scope="session")
def adapters(base: PreparedBase, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReferenceAdapter]:
    root = tmp_path_factory.mktemp("adapters")
    made = {
        name: write_reference_adapter(root, name=name, seed=seed, geometry=base.geometry)
        for name, seed in (("amber", 11), ("birch", 12))
    }
    made["amber-halved"] = write_reference_adapter(
        root, name="amber-halved", seed=11, geometry=base.geometry, scaling=1.0
    )
    made["amber-other-way"] = write_reference_adapter(
        root, name="amber-other-way", seed=11, geometry=base.geometry, scaling=1.0, gain=2.0
    )
    return made


@pytest.fixture(scope="session")
def server(
    base: PreparedBase, adapters: dict[str, ReferenceAdapter], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Run the real model; the tests share it, and those that break it repair it."""
    layout = ModelServerLayout(
        home=tmp_path_factory.mktemp("openvino"),
        adapters=adapters["amber"].folder.parent,
        base=base.folder,
        heads=HEADS,
        settings=EngineSettings(most_prompt_tokens=512),
    )
    with running_server(layout) as running:
        yield running


@pytest.fixture(scope="session")
def noop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("noop")
    layout = ModelServerLayout(home=folder, adapters=folder / "adapters", engine="noop")
    with running_server(layout) as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[InferenceServerClient]:
    connected = InferenceServerClient(server.grpc)
    yield connected
    await connected.close()


@pytest.fixture
def ask(client: InferenceServerClient) -> Ask:
    """Return a function that asks a tier and reads the whole answer."""

    async def asked(prompt: str, *, model: str = "tier_s", **inputs: Any) -> Spoken:
        return await read(stream_of(client, request_of(model, prompt, **inputs)))

    return asked


@pytest.fixture
def refusal(ask: Ask) -> Callable[..., Awaitable[str]]:
    """Return a function that asks and gives back the error's message."""

    async def refused(prompt: str, **inputs: Any) -> str:
        with pytest.raises(InferenceServerException) as caught:
            await ask(prompt, **inputs)
        return str(caught.value.message())

    return refused
