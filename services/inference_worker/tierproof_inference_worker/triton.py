"""The model server, over KServe v2 gRPC (tritonclient.grpc.aio): describe, generate, probe, recover.

Three kinds of errors meet here and leave as ours: grpc's AioRpcError from streams, InferenceServerException from everything else and
inside streams, and CancelledError, which may mean that the server cancelled or that we are being cancelled.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import structlog
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tierproof_inference_worker.chunks import Chunk, Generated, assembled
from tierproof_inference_worker.decide import Reported
from tierproof_inference_worker.errors import OutOfTime, ServerDown, ServerRefused, ServerStalled, ServerTrouble
from tierproof_inference_worker.profiles import Capabilities, Order, Profile, Tensor, compared, tensors_of

_log = structlog.get_logger()
_ARRAYS = {"BOOL": np.bool_, "INT32": np.int32, "UINT64": np.uint64, "FP32": np.float32}
_MICROSECONDS = 1_000_000
_DOWN = ("UNAVAILABLE", "NOT_FOUND", "CANCELLED")
_NOT_LOADED = (
    "unknown model",
    "is not at ready",
    "is not ready",
)  # inside a stream, Triton sends words without a status


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: until a stream's first words, between two of its words, a question about metadata, the loading of a model."""

    first: float
    idle: float
    call: float
    load: float


@dataclass(slots=True, kw_only=True)
class ModelServer:
    """One model on one server. Streams that stalled are counted until a probe succeeds."""

    url: str
    model: str
    profile: Profile
    patience: Patience
    stalls: int = 0
    _client: Any = field(default=None, repr=False)

    @property
    def _connected(self) -> Any:  # noqa: ANN401 - tritonclient publishes no types
        if self._client is None:
            self._client = InferenceServerClient(self.url.split("://", 1)[-1])
        return self._client

    async def close(self) -> None:
        """Close the channel."""
        if self._client is not None:
            await self._client.close()

    async def describe(self) -> Reported:
        """Return the model's digests and capabilities; raises ServerDown or ProfileMismatch."""
        async with self._named(late=ServerDown):
            calls = (
                self._connected.get_model_metadata(self.model, client_timeout=self.patience.call),
                self._connected.get_model_config(self.model, client_timeout=self.patience.call),
            )
            metadata, answer = await asyncio.gather(*calls)
        able = compared(self.profile, _declared(metadata.inputs), _declared(metadata.outputs))
        return _reported(self.model, answer.config.parameters, able)

    async def generate(self, order: Order, able: Capabilities, seconds: float, request_id: str) -> Generated:
        """Generate once within `seconds`; raises ServerDown, ServerStalled, OutOfTime, ServerRefused or UnfitAnswer.

        The server is told the deadline, and its generation is cancelled when this side stops listening.
        """
        if seconds <= 0:
            raise OutOfTime("the deadline has passed")
        asked = {
            "model_name": self.model,
            "inputs": [_input(name, tensor) for name, tensor in tensors_of(order, self.profile, able).items()],
            "request_id": request_id,
            "timeout": int(seconds * _MICROSECONDS),
        }
        stream = self._connected.stream_infer(_once(asked), stream_timeout=seconds)
        chunks: list[Chunk] = []
        try:
            async with self._named():
                while (
                    result := await self._next(stream, self.patience.idle if chunks else self.patience.first)
                ) is not None:
                    chunks.append(_chunk(result, self.profile.outputs))
        finally:
            stream.cancel()
        return assembled(chunks, cumulative=able.cumulative)

    async def generate_all(
        self, orders: tuple[Order, ...], able: Capabilities, seconds: float, request_id: str
    ) -> list[Generated]:
        """Generate all samples at once, in their order; the first trouble cancels the others and is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self.generate(order, able, seconds, f"{request_id}/{index}"))
                    for index, order in enumerate(orders)
                ]
        except BaseExceptionGroup as troubles:
            raise next(_leaves(troubles)) from None
        return [task.result() for task in tasks]

    async def probe(self, text: str) -> Reported:
        """Describe the model and really generate one token; `model_ready` stays true over a dead backend."""
        reported = await self.describe()
        order = Order(text=text, max_tokens=1, temperature_micro=0, top_p_micro=_MICROSECONDS, top_k=None, seed=0)
        await self.generate(order, reported.able, self.patience.first + self.patience.idle, "probe")
        self.stalls = 0
        return reported

    async def recover(self, models: tuple[str, ...]) -> None:
        """Unload and load models: all a dead Python backend reacts to. Raises ServerDown or ServerRefused."""
        for model in models:
            _log.warning("model.reloaded", model=model)
            async with self._named(late=ServerDown):
                with contextlib.suppress(InferenceServerException):
                    await self._connected.unload_model(model, client_timeout=self.patience.load)
                await self._connected.load_model(model, client_timeout=self.patience.load)
        self.stalls = 0

    async def _next(self, stream: Any, patience: float) -> Any:  # noqa: ANN401 - as _connected
        try:
            async with asyncio.timeout(patience):
                result, error = await anext(stream)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            self.stalls += 1
            raise ServerStalled(
                f"{self.model} said nothing for {self.patience.idle} s; it may have to be reloaded"
            ) from None
        if error is not None:
            raise self._trouble("", str(error.message()), OutOfTime)
        return result

    @contextlib.asynccontextmanager
    async def _named(self, late: type[ServerTrouble] = OutOfTime) -> AsyncIterator[None]:
        """Turn the client's errors into ours; `late` is what a time-out means."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise self._trouble(error.code().name, str(error.details()), late) from None
        except InferenceServerException as error:
            raise self._trouble(str(error.status()).removeprefix("StatusCode."), str(error.message()), late) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ServerDown(f"{self.model}: the server cancelled the stream") from None

    def _trouble(self, status: str, words: str, late: type[ServerTrouble]) -> ServerTrouble:
        if status == "DEADLINE_EXCEEDED":
            return late(f"{self.model} did not answer in the time that was left")
        if status in _DOWN or any(part in words.lower() for part in _NOT_LOADED):
            return ServerDown(f"{self.model} at {self.url} cannot be reached ({status or 'not loaded'})")
        return ServerRefused(words)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _reported(model: str, parameters: Mapping[str, Any], able: Capabilities) -> Reported:
    def said(name: str) -> str | None:
        if name not in parameters:  # reading it would make it
            return None
        return str(parameters[name].string_value) or None

    return Reported(
        model=model,
        weights=said("weights_digest"),
        tokenizer=said("tokenizer_digest"),
        engine=said("engine_digest"),
        decode_mode=said("decode_mode"),
        able=able,
    )


def _declared(tensors: Iterable[Any]) -> dict[str, str]:
    return {str(tensor.name): str(tensor.datatype) for tensor in tensors}


async def _once(asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield asked


def _input(name: str, tensor: Tensor) -> Any:  # noqa: ANN401 - as _connected
    made = InferInput(name, [1], tensor.datatype)
    if tensor.datatype == "BYTES":
        made.set_data_from_numpy(np.array([str(tensor.value).encode()], dtype=np.object_))
    else:
        made.set_data_from_numpy(np.array([tensor.value], dtype=_ARRAYS[tensor.datatype]))
    return made


def _chunk(result: Any, outputs: Mapping[str, str]) -> Chunk:  # noqa: ANN401 - as _connected
    found: dict[str, Any] = {}
    for role, name in outputs.items():
        array = result.as_numpy(name)
        if array is None or array.size == 0:
            continue
        value = array.reshape(-1)[0]
        found[role] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return found
