"""The triage model on the real server: what it reads, that it repeats itself, and what it refuses."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tierproof_contracts.triage import TriageReading
from tierproof_domains import triage
from tierproof_model_server.probe import probe
from tritonclient.utils import InferenceServerException

pytestmark = [pytest.mark.model, pytest.mark.requirement("S2-serving"), pytest.mark.asyncio]
ITEMS = list(triage.items("sealed", most=24))


async def test_it_reads_the_kind_and_what_is_elsewhere(ask: Callable[..., Awaitable[Any]]) -> None:
    right = 0
    for item in ITEMS:
        reading = TriageReading.model_validate_json((await ask(item.prompt, model="triage")).text)
        outside = reading.out_of_domain_micro > 500_000
        labels = json.loads(item.answer)
        right += outside if labels["out_of_domain"] == "yes" else not outside and reading.kind == labels["kind"]
    assert right >= len(ITEMS) - 1


async def test_a_neighbour_changes_no_number(ask: Callable[..., Awaitable[Any]]) -> None:
    alone = [(await ask(item.prompt, model="triage")).text for item in ITEMS[:6]]
    together = await asyncio.gather(*(ask(item.prompt, model="triage") for item in ITEMS[:6] * 2))
    assert [each.text for each in together] == alone * 2


async def test_an_answer_is_whole_and_says_how_sure_it_is(ask: Callable[..., Awaitable[Any]]) -> None:
    said = await ask(ITEMS[0].prompt, model="triage")
    assert said.last["finish_reason"] == "stop"
    assert said.last["cumulative_logprob"] <= 0
    assert said.last["tierproof_prompt_tokens"] > 3


async def test_a_very_long_request_is_read_by_its_beginning(ask: Callable[..., Awaitable[Any]]) -> None:
    said = await ask(ITEMS[0].prompt + " and so on" * 2000, model="triage")
    assert TriageReading.model_validate_json(said.text).kind
    assert said.last["tierproof_prompt_tokens"] <= 512


@pytest.mark.parametrize(
    ("prompt", "inputs", "named"),
    [
        ("  ", {}, "RequestRefused"),
        ("x" * 70_000, {}, "PromptTooLong"),
        ("x", {"tierproof_json_schema": "{}"}, "RequestRefused"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_name(
    ask: Callable[..., Awaitable[Any]], prompt: str, inputs: dict[str, Any], named: str
) -> None:
    with pytest.raises(InferenceServerException, match=named):
        await ask(prompt, model="triage", **inputs)


async def test_a_probe_finds_it_well(server: Any) -> None:
    assert (await probe(server.grpc, model="triage", timeout_seconds=10)).seconds < 10
