"""What happens when the model's process dies, and when a client goes away."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
from grpc.aio import AioRpcError
from tierproof_model_server.errors import ProbeFailed
from tierproof_model_server.launch import RunningServer
from tierproof_model_server.probe import probe, recover
from tritonclient.utils import InferenceServerException

pytestmark = [pytest.mark.model, pytest.mark.requirement("S2-serving"), pytest.mark.asyncio]


def stub_of(server: RunningServer, model: str) -> psutil.Process:
    living = [child for child in server.process.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    (found,) = [child for child in living if f"/{model}/1/model.py" in " ".join(child.cmdline())]
    return found


async def started(client: Any, asking: Any, *, tokens: int) -> Any:
    """Return a stream that has given its first token and has many more to give."""

    async def once() -> AsyncIterator[dict[str, Any]]:
        yield asking("tier_l", "Count.", sampling_param_max_tokens=tokens, parameters={"tierproof_min_tokens": tokens})

    responses = client.stream_infer(once())
    result, error = await asyncio.wait_for(anext(responses), 30)
    assert error is None
    assert result is not None
    return responses


async def test_cancellation_reaches_the_base_through_the_tier(client: Any, asking: Any, server: RunningServer) -> None:
    responses = await started(client, asking, tokens=512)
    stub = stub_of(server, "tier_base")
    assert responses.cancel()
    await asyncio.sleep(0.5)
    before = stub.cpu_times()
    await asyncio.sleep(1)
    after = stub.cpu_times()
    used = after.user + after.system - before.user - before.system
    assert used < 0.3, "500 tokens take 15 s: the base stopped computing"


async def test_crash_of_the_model_fails_its_streams_and_recovers(
    client: Any, asking: Any, server: RunningServer
) -> None:
    streams = [await started(client, asking, tokens=400) for _ in range(2)]
    os.kill(stub_of(server, "tier_base").pid, signal.SIGKILL)
    killed = time.monotonic()

    async def ending(responses: Any) -> None:
        while True:
            _, error = await asyncio.wait_for(anext(responses), 3)
            if error is not None:
                raise error

    for responses in streams:
        with pytest.raises((TimeoutError, InferenceServerException, AioRpcError)):
            await ending(responses)
        responses.cancel()
    assert time.monotonic() - killed < 12
    with pytest.raises(ProbeFailed):
        await probe(server.grpc, timeout_seconds=3)
    await recover(server.grpc, timeout_seconds=40)
    assert (await probe(server.grpc, model="tier_s", timeout_seconds=10)).model == "tier_s"
