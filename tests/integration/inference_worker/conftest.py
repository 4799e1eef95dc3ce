"""A model server on the real wire (KServe v2 gRPC), whose words a test writes."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from tierproof_contracts.ids import request_id_of, task_id_of
from tierproof_contracts.inference import AdapterPin, Decode, InferenceRequestedV1, ModelPin
from tierproof_contracts.slip import Slip
from tierproof_contracts.text import Text
from tierproof_embedded.ports import free_ports
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as wire

LLMAPI_INPUTS = {
    "text_input": "BYTES", "streaming": "BOOL", "sampling_param_max_tokens": "INT32", "sampling_param_temperature": "FP32",
    "sampling_param_top_p": "FP32", "sampling_param_top_k": "INT32", "sampling_param_seed": "UINT64", "lora_id": "UINT64",
    "lora_name": "BYTES", "lora_path": "BYTES", "tierproof_json_schema": "BYTES", "return_finish_reason": "BOOL",
    "return_cumulative_logprob": "BOOL",
}  # fmt: skip
LLMAPI_OUTPUTS = {
    "text_output": "BYTES", "finish_reason": "BYTES", "cumulative_logprob": "FP32", "tierproof_token_logprobs": "BYTES"
}  # fmt: skip
DIGESTS = {name: "sha256:" + f"{number:02x}" * 32 for number, name in enumerate(("weights", "tokenizer", "engine"), 1)}


@dataclass
class Heard:
    """One generation as the server heard it."""

    request_id: str
    model: str
    inputs: dict[str, Any]
    timeout_us: int | None
    cancelled: bool = False


@dataclass
class Script:
    """What the server does. `say` yields (text, facts) chunks for the inputs; an exception's words go back as an error."""

    inputs: dict[str, str] = field(default_factory=lambda: dict(LLMAPI_INPUTS))
    outputs: dict[str, str] = field(default_factory=lambda: dict(LLMAPI_OUTPUTS))
    parameters: dict[str, str] = field(
        default_factory=lambda: {f"{name}_digest": digest for name, digest in DIGESTS.items()}
    )
    heard: list[Heard] = field(default_factory=list)
    controlled: list[str] = field(default_factory=list)
    say: Callable[[dict[str, Any]], AsyncIterator[dict[str, Any]]] | None = None
    loaded: bool = True


async def politely(inputs: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Say the prompt's words one by one, then the end."""
    words = str(inputs["text_input"]).split()[: inputs["sampling_param_max_tokens"]]
    for number, word in enumerate(words):
        yield {"text_output": word if number == 0 else f" {word}"}
    facts = {"ids": list(range(len(words))), "logprobs": [-0.5] * len(words)}
    yield {
        "text_output": "",
        "finish_reason": "stop",
        "cumulative_logprob": -0.5 * len(words),
        "tierproof_token_logprobs": json.dumps(facts),
    }


class ScriptedServer(wire.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, script: Script) -> None:
        self.script = script

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        if not self.script.loaded:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model")
        made = pb.ModelMetadataResponse(name=request.name)
        for side, declared in ((made.inputs, self.script.inputs), (made.outputs, self.script.outputs)):
            for name, datatype in declared.items():
                side.add(name=name, datatype=datatype, shape=[1])
        return made

    async def ModelConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        made = pb.ModelConfigResponse()
        made.config.name = request.name
        for name, value in self.script.parameters.items():
            made.config.parameters[name].string_value = value
        return made

    async def RepositoryModelUnload(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self.script.controlled.append(f"unload {request.model_name}")
        return pb.RepositoryModelUnloadResponse()

    async def RepositoryModelLoad(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self.script.controlled.append(f"load {request.model_name}")
        return pb.RepositoryModelLoadResponse()

    async def ModelStreamInfer(self, requests: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for request in requests:
            heard = Heard(
                request_id=request.id,
                model=request.model_name,
                inputs=_inputs(request),
                timeout_us=request.parameters["timeout"].int64_param or None,
            )
            self.script.heard.append(heard)
            try:
                async for chunk in (self.script.say or politely)(heard.inputs):
                    yield pb.ModelStreamInferResponse(infer_response=_response(request, chunk))
            except (asyncio.CancelledError, GeneratorExit):
                heard.cancelled = True
                raise
            except RuntimeError as error:
                yield pb.ModelStreamInferResponse(error_message=str(error))


def _inputs(request: Any) -> dict[str, Any]:
    shapes = {"INT32": "<i", "UINT64": "<Q", "FP32": "<f", "BOOL": "<?"}
    found: dict[str, Any] = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            found[tensor.name] = raw[4:].decode()
        else:
            (found[tensor.name],) = struct.unpack(shapes[tensor.datatype], raw)
    return found


def _response(request: Any, chunk: dict[str, Any]) -> Any:
    made = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    for name, value in chunk.items():
        made.outputs.add(name=name, datatype="FP32" if isinstance(value, float) else "BYTES", shape=[1])
        content = value.encode() if isinstance(value, str) else b""
        raw = struct.pack("<f", value) if isinstance(value, float) else struct.pack("<I", len(content)) + content
        made.raw_output_contents.append(raw)
    return made


class Scripted:
    """The server under a test's control: `script`, and start and stop on one port."""

    def __init__(self) -> None:
        self.script = Script()
        self.url = f"127.0.0.1:{free_ports(1)[0]}"
        self._server: Any = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        wire.add_GRPCInferenceServiceServicer_to_server(ScriptedServer(self.script), self._server)
        self._server.add_insecure_port(self.url)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    server = Scripted()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def request_for() -> Callable[..., InferenceRequestedV1]:
    def build(text: str = "one two three", **changes: Any) -> InferenceRequestedV1:
        seconds = changes.pop("seconds", 10.0)
        deadline = (datetime.now(tz=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        task_id = task_id_of("acme", changes.pop("key", "1"))
        digests = {name: changes.pop(name, digest) for name, digest in DIGESTS.items()}
        adapter: AdapterPin | None = changes.pop("adapter", None)
        samples, max_tokens = changes.pop("samples", 1), changes.pop("max_tokens", 16)
        slip = Slip(
            task_id=task_id, tenant="acme", kind="greeting", safety_class="A", accepted_at=deadline, deadline=deadline,
            policy=DIGESTS["engine"], fleet=DIGESTS["engine"], reviewers=DIGESTS["engine"],
        )  # fmt: skip
        fields: dict[str, Any] = {
            "request_id": request_id_of(task_id, "inference", 1),
            "task_id": task_id,
            "tenant": "acme",
            "tier": "s",
            "purpose": "answer",
            "prompt": Text(text=text, salt="0a" * 16),
            "model": ModelPin(name="tier_s", decode_mode="reproducible", adapter=adapter, **digests),
            "decode": Decode(max_tokens=max_tokens, temperature_micro=0, seed=7, samples=samples),
            "deadline": deadline,
            "slip": slip,
        }
        return InferenceRequestedV1(**(fields | changes))

    return build
