"""The worker against a server on the real wire: what it asks, what it believes, what it says of trouble."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tierproof_bus import NotSetUp
from tierproof_bus.testing import until
from tierproof_contracts.inference import AdapterPin, Completed, InferenceRequestedV1, NotCompleted
from tierproof_contracts.text import Text
from tierproof_inference_worker.adapters import lora_id_of
from tierproof_inference_worker.handlers import Shell, keep_probing, refuse_unfit, settlement_of, shell_of
from tierproof_inference_worker.settings import InferenceWorkerSettings

Build = Callable[..., InferenceRequestedV1]
Chunks = AsyncIterator[dict[str, Any]]

OTHER = "sha256:" + "ff" * 32


@pytest.fixture
async def shell(scripted: Any, tmp_path: Path) -> AsyncIterator[Shell]:
    made = shell_of(
        InferenceWorkerSettings(
            tier="s", triton_url=scripted.url, first_seconds=0.7, idle_seconds=0.5, call_seconds=1.0, retry_seconds=0.1,
            probe_every_seconds=0.1, adapters_folder=tmp_path, replica="r-1", stalls_before_recovery=2,
        )
    )  # fmt: skip
    yield made
    await made.server.close()


@pytest.mark.requirement("S1.2-pinned")
async def test_an_answer_names_its_model_seed_and_log_probabilities(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    asked = request_for("one two three")
    settlement = await settlement_of(asked, shell)
    assert isinstance(settlement, Completed)
    (answer,) = settlement.answers
    assert (answer.text.text, answer.finish_reason, answer.seed, answer.output_tokens) == (
        "one two three",
        "stop",
        7,
        3,
    )
    assert (answer.cumulative_logprob, answer.lowest_logprob) == ("-1.500000", "-0.500000")
    assert (settlement.model, settlement.replica) == (asked.model, "r-1")
    (heard,) = scripted.script.heard
    assert heard.model == "tier_s"
    assert 8_000_000 < heard.timeout_us < 10_000_000, "the server knows the deadline"
    assert heard.inputs == {
        "text_input": "one two three", "streaming": True, "sampling_param_max_tokens": 16, "sampling_param_seed": 7,
        "sampling_param_temperature": 0.0, "sampling_param_top_p": 1.0, "return_finish_reason": True,
        "return_cumulative_logprob": True,
    }  # fmt: skip


async def test_samples_are_generated_at_once_with_seeds_of_their_own(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    met = asyncio.Barrier(3)

    async def together(inputs: dict[str, Any]) -> Chunks:
        await met.wait()
        yield {"text_output": f"seed {inputs['sampling_param_seed']}", "finish_reason": "length"}

    scripted.script.say = together
    settlement = await settlement_of(request_for(samples=3), shell)
    assert isinstance(settlement, Completed)
    assert [(a.text.text, a.seed) for a in settlement.answers] == [("seed 7", 7), ("seed 8", 8), ("seed 9", 9)]
    assert len({a.text.salt for a in settlement.answers}) == 3
    again = await settlement_of(request_for(samples=3), shell)
    assert isinstance(again, Completed)
    assert [a.text for a in again.answers] == [a.text for a in settlement.answers], "salts follow from the request"


@pytest.mark.requirement("S1.2-pinned")
@pytest.mark.parametrize("what", ["weights", "tokenizer", "engine"])
async def test_a_server_with_another_digest_is_not_even_asked(
    what: str, shell: Shell, scripted: Any, request_for: Build
) -> None:
    settlement = await settlement_of(request_for(**{what: OTHER}), shell)
    assert isinstance(settlement, NotCompleted)
    assert (settlement.code, settlement.another_try) == ("digest-mismatch", False)
    assert what in settlement.detail
    assert scripted.script.heard == []


@pytest.mark.requirement("S1.2-pinned")
async def test_a_server_that_names_no_digest_is_not_believed(shell: Shell, scripted: Any, request_for: Build) -> None:
    del scripted.script.parameters["weights_digest"]
    settlement = await settlement_of(request_for(), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "digest-mismatch"


@pytest.mark.requirement("S1.2-pinned")
async def test_a_model_that_is_replaced_during_the_answer_spoils_it(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    async def replaced(inputs: dict[str, Any]) -> Chunks:
        scripted.script.parameters["weights_digest"] = OTHER
        yield {"text_output": "from whom?", "finish_reason": "stop"}

    scripted.script.say = replaced
    settlement = await settlement_of(request_for(), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "digest-mismatch"


async def test_a_deadline_that_has_passed_is_settled_at_once(shell: Shell, scripted: Any, request_for: Build) -> None:
    settlement = await settlement_of(request_for(seconds=-1.0), shell)
    assert isinstance(settlement, NotCompleted)
    assert (settlement.code, settlement.another_try) == ("deadline", False)
    assert scripted.script.heard == []


async def test_a_deadline_during_the_generation_cancels_it_on_the_server(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    async def endless(inputs: dict[str, Any]) -> Chunks:
        while True:
            yield {"text_output": "and"}
            await asyncio.sleep(0.05)

    scripted.script.say = endless
    settlement = await settlement_of(request_for(seconds=0.8), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "deadline"
    await asyncio.sleep(0.2)
    assert scripted.script.heard[0].cancelled


async def test_a_stream_that_falls_silent_has_stalled_and_its_sisters_are_cancelled(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    async def silent(inputs: dict[str, Any]) -> Chunks:
        yield {"text_output": "I"}
        while inputs["sampling_param_seed"] != 7:
            await asyncio.sleep(0.05)
            yield {"text_output": "I talk"}
        await asyncio.sleep(30)

    scripted.script.say = silent
    settlement = await settlement_of(request_for(samples=2), shell)
    assert isinstance(settlement, NotCompleted)
    assert (settlement.code, settlement.another_try) == ("server-stalled", True)
    await asyncio.sleep(0.2)
    assert all(heard.cancelled for heard in scripted.script.heard)


async def test_a_stream_may_take_longer_for_its_first_words_than_between_two(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    async def queued(inputs: dict[str, Any]) -> Chunks:
        await asyncio.sleep(0.6)
        yield {"text_output": "late", "finish_reason": "stop"}

    scripted.script.say = queued
    assert isinstance(await settlement_of(request_for(), shell), Completed)
    assert shell.server.stalls == 0


async def test_a_server_that_is_down_is_waited_for(shell: Shell, scripted: Any, request_for: Build) -> None:
    await scripted.stop()
    waiting = asyncio.create_task(settlement_of(request_for(), shell))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await scripted.start()
    settlement = await waiting
    assert isinstance(settlement, Completed)


async def test_a_server_that_stays_down_settles_at_the_deadline(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    await scripted.stop()
    settlement = await settlement_of(request_for(seconds=0.7), shell)
    assert isinstance(settlement, NotCompleted)
    assert (settlement.code, settlement.another_try) == ("server-down", True)


async def test_a_model_that_is_not_loaded_is_a_server_that_is_down(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    scripted.script.loaded = False
    settlement = await settlement_of(request_for(seconds=0.5), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "server-down"


@pytest.mark.parametrize(
    ("words", "code", "again"),
    [
        ("SchemaRefused: tierproof_json_schema is refused: secret words", "bad-schema", False),
        ("PromptTooLong: the prompt has 9000 tokens, secret words", "prompt-too-long", False),
        ("AdapterRefused: adapter 'x' is refused: secret words", "unknown-adapter", False),
        ("GenerationFailed: secret words", "crashed", True),
        ("EngineGone: secret words", "crashed", True),
        ("DeadlinePassed: secret words", "deadline", False),
        ("secret words", "server-error", True),
    ],
)
async def test_a_servers_words_become_a_code_and_stay_behind(
    words: str, code: str, *, again: bool, shell: Shell, scripted: Any, request_for: Build
) -> None:
    async def refusing(inputs: dict[str, Any]) -> Chunks:
        raise RuntimeError(words)
        yield {}

    scripted.script.say = refusing
    settlement = await settlement_of(request_for(), shell)
    assert isinstance(settlement, NotCompleted)
    assert (settlement.code, settlement.another_try) == (code, again)
    assert "secret" not in settlement.detail


async def test_our_own_cancellation_is_no_trouble_of_the_server(
    shell: Shell, scripted: Any, request_for: Build
) -> None:
    async def slow(inputs: dict[str, Any]) -> Chunks:
        while True:
            yield {"text_output": "and"}
            await asyncio.sleep(0.05)

    scripted.script.say = slow
    task = asyncio.create_task(settlement_of(request_for(), shell))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.2)
    assert scripted.script.heard[0].cancelled


@pytest.mark.requirement("S2-serving")
async def test_an_adapter_is_served_by_digest_and_path(
    shell: Shell, scripted: Any, request_for: Build, tmp_path: Path
) -> None:
    folder = tmp_path / "code-review"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    digest = "sha256:" + hashlib.sha256(b"weights").hexdigest()
    pin = AdapterPin(name="code-review", digest=digest)
    assert isinstance(await settlement_of(request_for(adapter=pin), shell), Completed)
    inputs = scripted.script.heard[0].inputs
    assert (inputs["lora_name"], inputs["lora_path"]) == ("code-review", str(folder))
    assert inputs["lora_id"] == lora_id_of(digest) < 2**63
    (folder / "adapter_model.safetensors").write_bytes(b"Weights")
    settlement = await settlement_of(request_for(adapter=pin), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "unknown-adapter"
    assert len(scripted.script.heard) == 1


async def test_a_schema_goes_where_the_server_takes_one(shell: Shell, scripted: Any, request_for: Build) -> None:
    schema = Text(text='{"type":"object"}', salt="0b" * 16)
    assert isinstance(await settlement_of(request_for(answer_schema=schema), shell), Completed)
    assert scripted.script.heard[0].inputs["tierproof_json_schema"] == schema.text
    del scripted.script.inputs["tierproof_json_schema"]
    settlement = await settlement_of(request_for(answer_schema=schema), shell)
    assert isinstance(settlement, NotCompleted)
    assert settlement.code == "bad-schema"


async def test_a_server_of_another_profile_refuses_the_start(shell: Shell, scripted: Any) -> None:
    scripted.script.inputs = {"text_input": "BYTES", "stream": "BOOL", "sampling_parameters": "BYTES"}
    with pytest.raises(NotSetUp, match="TIERPROOF_INFERENCE_WORKER_PROFILE"):
        await refuse_unfit(shell)


async def test_a_server_that_is_down_does_not_refuse_the_start(shell: Shell, scripted: Any) -> None:
    await scripted.stop()
    await refuse_unfit(shell)
    assert not shell.is_ready


async def test_readiness_is_a_generated_token_and_stalls_reload_the_model(shell: Shell, scripted: Any) -> None:
    dead = False

    async def mortal(inputs: dict[str, Any]) -> Chunks:
        while dead and not any(line.startswith("load") for line in scripted.script.controlled):  # noqa: ASYNC110 - as dead
            await asyncio.sleep(0.05)
        yield {"text_output": "Yes", "finish_reason": "length"}

    scripted.script.say = mortal
    probing = asyncio.create_task(keep_probing(shell))
    await asyncio.sleep(0.4)
    assert shell.is_ready
    assert scripted.script.heard[0].inputs["sampling_param_max_tokens"] == 1
    dead = True
    await until(lambda: not shell.is_ready)
    await until(lambda: shell.is_ready)
    assert scripted.script.controlled == ["unload tier_s", "load tier_s"]
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
