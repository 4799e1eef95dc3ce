"""The worker against a real Triton whose model speaks without weights: the wire as it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tierproof_contracts.inference import Completed, Decode, InferenceRequestedV1, NotCompleted
from tierproof_contracts.text import Text
from tierproof_inference_worker.handlers import Shell, settlement_of, shell_of
from tierproof_inference_worker.settings import InferenceWorkerSettings
from tierproof_model_server.launch import RunningServer, running_server
from tierproof_model_server.repository import reported
from tierproof_model_server.settings import ModelServerLayout

Build = Callable[..., InferenceRequestedV1]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> ModelServerLayout:
    home = tmp_path_factory.mktemp("triton")
    return ModelServerLayout(home=home, adapters=home / "adapters", engine="noop")


@pytest.fixture(scope="module")
def triton(layout: ModelServerLayout) -> Iterator[RunningServer]:
    with running_server(layout) as server:
        yield server


@pytest.fixture
async def shell(triton: RunningServer, tmp_path: Path) -> AsyncIterator[Shell]:
    made = shell_of(
        InferenceWorkerSettings(tier="s", triton_url=triton.grpc, idle_seconds=5.0, adapters_folder=tmp_path)
    )
    yield made
    await made.server.close()


@pytest.fixture
def pinned(layout: ModelServerLayout) -> dict[str, str]:
    said = reported(layout)
    return {name: said[f"{name}_digest"] for name in ("weights", "tokenizer", "engine")}


@pytest.mark.requirement("S1.2-pinned")
@pytest.mark.requirement("S2-serving")
async def test_an_answer_comes_through_the_real_server(
    shell: Shell, request_for: Build, pinned: dict[str, str]
) -> None:
    asked = request_for("ignored\n<<<ANSWER\nint f(void)\n{ return 1; }\nANSWER>>>\n", **pinned, samples=3)
    settlement = await settlement_of(asked, shell)
    assert isinstance(settlement, Completed), settlement
    assert {answer.text.text for answer in settlement.answers} == {"int f(void)\n{ return 1; }"}
    assert [answer.seed for answer in settlement.answers] == [7, 8, 9]
    first = settlement.answers[0]
    assert (first.finish_reason, first.output_tokens, first.cumulative_logprob) == ("stop", 6, "0.000000")
    assert first.prompt_tokens is not None


async def test_a_probe_generates_a_token(shell: Shell) -> None:
    reported_ = await shell.server.probe("Say yes.")
    assert (reported_.decode_mode, reported_.able.schema, reported_.able.lora) == ("reproducible", True, True)


@pytest.mark.requirement("S1.2-pinned")
async def test_the_real_servers_digests_are_compared(shell: Shell, request_for: Build, pinned: dict[str, str]) -> None:
    settlement = await settlement_of(request_for(**(pinned | {"engine": "sha256:" + "ff" * 32})), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "digest-mismatch"


async def test_the_real_servers_refusals_have_codes(shell: Shell, request_for: Build, pinned: dict[str, str]) -> None:
    broken = Text(text='{"type": 7}', salt="0b" * 16)
    settlement = await settlement_of(request_for(**pinned, answer_schema=broken), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "bad-schema"
    large = Decode(max_tokens=32768, temperature_micro=0, seed=1)
    settlement = await settlement_of(request_for(**pinned, decode=large), shell)
    assert isinstance(settlement, NotCompleted)
    assert (settlement.code, settlement.another_try) == ("server-error", False)


async def test_an_unloaded_model_is_waited_for_and_recovered(
    shell: Shell, request_for: Build, pinned: dict[str, str]
) -> None:
    await shell.server._connected.unload_model("tier_s")
    waiting = asyncio.create_task(settlement_of(request_for("back again", **pinned, seconds=30.0), shell))
    await asyncio.sleep(1.5)
    assert not waiting.done()
    await shell.server.recover(("tier_s",))
    settlement = await waiting
    assert isinstance(settlement, Completed), settlement
    assert settlement.answers[0].text.text == "back again"
