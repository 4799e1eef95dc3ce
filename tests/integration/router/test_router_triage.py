"""Tasks that name no kind, on a real broker: asked about once, gone on with once, whatever dies in between."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tierproof_contracts import subjects
from tierproof_contracts.ids import UNDECLARED, request_id_of
from tierproof_contracts.inference import Answer, Completed, InferenceRequestedV1, NotCompleted
from tierproof_contracts.task import Abstained, Accepted, Failed
from tierproof_contracts.text import Text

from tests.integration.router.stage import FLEET, PASSED, POLICY

pytestmark = [pytest.mark.requirement("BUS-delivery"), pytest.mark.requirement("S9-gate")]
TASKS = 6
READING = {
    "kind": "reg-doc-drafting",
    "modality": "text",
    "retrieval": "no",
    "risk": "A",
    "out_of_domain_micro": 1_000,
    **{f"{label}_micro": 990_000 for label in ("kind", "modality", "retrieval", "risk")},
}


async def triage_of(stage: Any, task_id: str, number: int = 1) -> Any:
    subject = subjects.inference_requested("*", request_id_of(task_id, "triage", number))
    return await stage.there(InferenceRequestedV1, subject)


async def read(stage: Any, asked: Any, **changes: Any) -> None:
    text = Text(text=json.dumps(READING | changes), salt=asked.data.request_id.replace("-", ""))
    answer = Answer(text=text, finish_reason="stop", seed=0)
    await stage.settle(asked, Completed(answers=(answer,), model=asked.data.model, generation_ms=1, replica="r1"))


async def test_a_router_killed_around_a_triage_decides_every_task_once(own: Callable[..., Any]) -> None:
    async with own() as (_server, router, stage):
        ids = [(await stage.submit(f"t-{n}", kind=UNDECLARED)).envelope.data.task_id for n in range(TASKS)]
        asked = [await triage_of(stage, task_id) for task_id in ids]
        router.kill()
        for one in asked[: TASKS // 2]:
            await read(stage, one)
        router.start()
        await stage.inference(ids[0])
        router.kill()
        for one in asked[TASKS // 2 :]:
            await read(stage, one)
        router.start()
        for task_id in ids:
            await stage.round(task_id, 1, PASSED)
        decided = [(await stage.decided(task_id)).data for task_id in ids]
        assert all(isinstance(one.outcome, Accepted) for one in decided)
        assert {(one.kind, one.slip.triaged, len(one.slip.attempts)) for one in decided} == {("reg-doc-drafting", 1, 1)}
        assert await stage.dead() == [], "no second, different event was ever tried"


async def test_a_request_for_triage_names_the_pinned_model_and_the_prompt_alone(own: Callable[..., Any]) -> None:
    async with own() as (_server, _router, stage):
        task_id = (await stage.submit("pinned", kind=UNDECLARED)).envelope.data.task_id
        asked = (await triage_of(stage, task_id)).data
        assert FLEET.triage is not None
        assert (asked.purpose, asked.tier, asked.model.name) == ("triage", FLEET.triage.tier, FLEET.triage.model)
        assert (asked.prompt.text, asked.answer_schema, asked.model.adapter) == ("Write REQ-1.", None, None)


async def test_what_is_elsewhere_or_unclear_or_no_reading_is_declined(own: Callable[..., Any]) -> None:
    async with own() as (_server, _router, stage):
        for key, changes, outcome, code in (
            ("elsewhere", {"out_of_domain_micro": 990_000}, Abstained, "out-of-domain"),
            ("unclear", {"kind_micro": 400_000}, Abstained, "out-of-domain"),
            ("unknown", {"kind": "marketing-copy"}, Abstained, "unknown-kind"),
            ("senseless", {"risk": "D"}, Failed, "inference"),
        ):
            task_id = (await stage.submit(key, kind=UNDECLARED)).envelope.data.task_id
            await read(stage, await triage_of(stage, task_id), **changes)
            decided = (await stage.decided(task_id)).data
            assert isinstance(decided.outcome, outcome), key
            assert decided.outcome.code == code, key
            assert len(decided.cites) == 4, "submission, acceptance, the question and what was read"


async def test_a_triage_that_fails_is_asked_again_and_then_ends(own: Callable[..., Any]) -> None:
    async with own() as (_server, _router, stage):
        task_id = (await stage.submit("down", kind=UNDECLARED)).envelope.data.task_id
        down = NotCompleted(code="crashed", detail="gone", another_try=True)
        for number in range(1, POLICY.failed_inference_retries + 2):
            await stage.settle(await triage_of(stage, task_id, number), down)
        decided = (await stage.decided(task_id)).data
        assert isinstance(decided.outcome, Failed)
        assert decided.outcome.code == "no-worker"


async def test_a_failed_triage_that_is_read_at_last_goes_on(own: Callable[..., Any]) -> None:
    async with own() as (_server, _router, stage):
        task_id = (await stage.submit("again", kind=UNDECLARED)).envelope.data.task_id
        await stage.settle(await triage_of(stage, task_id), NotCompleted(code="crashed", detail="", another_try=True))
        await read(stage, await triage_of(stage, task_id, 2))
        assert (await stage.inference(task_id)).data.slip.reading.kind == "reg-doc-drafting"
