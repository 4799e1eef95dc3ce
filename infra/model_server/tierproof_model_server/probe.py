"""Health that means something: one token really generated. `model_ready` stays true after a crash of the model's process."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from grpc.aio import AioRpcError
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tierproof_model_server.errors import ProbeFailed
from tierproof_model_server.repository import BASE

PROMPT = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """The model generated one token."""

    model: str
    seconds: float


async def probe(url: str, *, model: str = BASE, timeout_seconds: float) -> Healthy:
    """Generate one token through gRPC; raises ProbeFailed. `url` is host:port."""
    started = time.monotonic()
    client = InferenceServerClient(url)
    try:
        async with asyncio.timeout(timeout_seconds):
            await _one_token(client, model)
    except TimeoutError as late:
        raise ProbeFailed(model=model, because=f"no token within {timeout_seconds} s") from late
    except (InferenceServerException, AioRpcError) as broken:
        raise ProbeFailed(model=model, because=str(broken)[:300]) from broken
    finally:
        await client.close()
    return Healthy(model=model, seconds=time.monotonic() - started)


async def recover(url: str, *, model: str = BASE, timeout_seconds: float) -> Healthy:
    """Unload and load the crashed model (loading alone may do nothing), then probe it; raises ProbeFailed."""
    client = InferenceServerClient(url)
    try:
        async with asyncio.timeout(timeout_seconds):
            await client.unload_model(model)
            await client.load_model(model)
    except TimeoutError as late:
        raise ProbeFailed(model=model, because=f"not loaded again within {timeout_seconds} s") from late
    except (InferenceServerException, AioRpcError) as broken:
        raise ProbeFailed(model=model, because=f"not loaded again: {str(broken)[:300]}") from broken
    finally:
        await client.close()
    return await probe(url, model=model, timeout_seconds=timeout_seconds)


async def _one_token(client: InferenceServerClient, model: str) -> None:
    text = InferInput("text_input", [1], "BYTES")
    text.set_data_from_numpy(np.array([PROMPT.encode()], dtype=object))
    most = InferInput("sampling_param_max_tokens", [1], "INT32")
    most.set_data_from_numpy(np.array([1], dtype=np.int32))

    async def request() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": model, "inputs": [text, most], "enable_empty_final_response": True}

    async for result, error in client.stream_infer(request()):
        if error is not None:
            raise error
        if result.get_response().parameters["triton_final_response"].bool_param:
            return
