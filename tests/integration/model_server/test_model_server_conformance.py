"""The model without weights speaks as the real one does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tierproof_model_server.launch import SHARED_MEMORY, RunningServer, running_server
from tierproof_model_server.repository import model_names
from tierproof_model_server.settings import ModelServerLayout
from tritonclient.grpc.aio import InferenceServerClient

TIERS = ("tier_s", "tier_m", "tier_l", "tier_base")
ENGINES = [pytest.param("noop_server", id="noop"), pytest.param("server", id="openvino", marks=pytest.mark.model)]
pytestmark = pytest.mark.requirement("S2-serving")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> RunningServer:
    found: RunningServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def either(engine: RunningServer) -> AsyncIterator[InferenceServerClient]:
    connected = InferenceServerClient(engine.grpc)
    yield connected
    await connected.close()


@pytest.mark.parametrize("tier", TIERS)
async def test_metadata_names_the_profile(either: Any, tier: str) -> None:
    metadata = await either.get_model_metadata(tier)
    assert {(tensor.name, tensor.datatype) for tensor in metadata.inputs} >= {
        ("text_input", "BYTES"), ("streaming", "BOOL"), ("sampling_param_max_tokens", "INT32"), ("sampling_param_seed", "UINT64"),
        ("lora_id", "UINT64"), ("lora_name", "BYTES"), ("lora_path", "BYTES"), ("tierproof_json_schema", "BYTES"),
    }  # fmt: skip
    assert {(tensor.name, tensor.datatype) for tensor in metadata.outputs} == {
        ("text_output", "BYTES"), ("finish_reason", "BYTES"), ("cumulative_logprob", "FP32"), ("tierproof_token_logprobs", "BYTES"),
        ("tierproof_prompt_tokens", "INT32"), ("tierproof_output_tokens", "INT32"),
    }  # fmt: skip


@pytest.mark.parametrize("tier", TIERS)
async def test_digests_stand_in_the_configuration(either: Any, tier: str) -> None:
    config = (await either.get_model_config(tier)).config
    assert config.model_transaction_policy.decoupled
    told = {name: value.string_value for name, value in config.parameters.items()}
    assert told["decode_mode"] == "reproducible"
    assert "135M stand-in" in told["shared_base"]
    for name in ("weights_digest", "tokenizer_digest", "engine_digest"):
        assert told[name].startswith("sha256:")


@pytest.mark.parametrize("tier", TIERS)
async def test_answer_has_the_same_shape(either: Any, asking: Any, heard: Any, stream: Any, tier: str) -> None:
    prompt = "Repeat.\n<<<ANSWER\none two\nthree four\nANSWER>>>"
    spoken = await heard(stream(either, asking(tier, prompt, sampling_param_max_tokens=3)))
    assert len(spoken.outputs) > 1
    assert all(names == {"text_output"} for names in spoken.outputs[:-1])
    assert len(spoken.outputs[-1]) == 6
    assert spoken.last["finish_reason"] == "length"
    assert len(spoken.ids) == len(spoken.logprobs) == spoken.last["tierproof_output_tokens"] == 3
    assert spoken.last["tierproof_prompt_tokens"] > 0


async def test_noop_streams_the_answer_in_the_prompt(
    noop_server: RunningServer, asking: Any, heard: Any, stream: Any
) -> None:
    client = InferenceServerClient(noop_server.grpc)
    marked, last_line = await asyncio.gather(
        heard(stream(client, asking("tier_s", 'x\n<<<ANSWER\n{"a":\n 1}\nANSWER>>>\ny'))),
        heard(stream(client, asking("tier_s", "first\nlast line"))),
    )
    await client.close()
    assert (marked.text, last_line.text) == ('{"a":\n 1}', "last line")


async def test_refusals_are_the_same(either: Any, asking: Any, heard: Any, stream: Any) -> None:
    with pytest.raises(Exception, match="SchemaRefused"):
        await heard(stream(either, asking("tier_s", "x", tierproof_json_schema="{")))


def test_nothing_stays_behind(tmp_path: Any) -> None:
    running_layout = ModelServerLayout(home=tmp_path, adapters=tmp_path, engine="noop")
    with running_server(running_layout) as running:
        family = [running.process, *running.process.children(recursive=True)]
        prefix = running.settings.shm_prefix
        assert list(SHARED_MEMORY.glob(f"{prefix}*"))
        assert len(family) == 1 + len(model_names(running_layout))
    assert not any(process.is_running() for process in family)
    assert not list(SHARED_MEMORY.glob(f"{prefix}*"))


@pytest.mark.model
async def test_thousand_short_streams_through_a_watched_tier_leave_the_server_alive(
    server: RunningServer, asking: Any, heard: Any, stream: Any
) -> None:
    """Asking Triton whether a client has gone, while its last response is sent, once killed the whole server."""
    client = InferenceServerClient(server.grpc)
    refused = asking("tier_s", "x", tierproof_json_schema="{")
    for _ in range(20):
        ends = await asyncio.gather(*(heard(stream(client, refused)) for _ in range(50)), return_exceptions=True)
        assert all("SchemaRefused" in str(end) for end in ends)
    assert (await heard(stream(client, asking("tier_s", "x", sampling_param_max_tokens=1)))).ids
    await client.close()
