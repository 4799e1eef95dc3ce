"""The router killed in the middle, a policy that changes, messages that nobody can read, handlers that never end."""

import asyncio
from collections.abc import Callable
from typing import Any

import nats
import pytest
from tierproof_contracts import subjects
from tierproof_contracts.incident import DeadLetteredV1
from tierproof_contracts.task import Abstained, Accepted, Failed, TaskAcceptedV1

from tests.integration.router.stage import FAILED, PASSED, POLICY, publish_documents, with_rule

pytestmark = pytest.mark.requirement("BUS-delivery")
TASKS = 8
NAMELESS = ("poison-1", "acme_x", "globex_" + "0" * 32)


async def test_a_router_killed_in_the_middle_decides_every_task_once(own: Callable[..., Any]) -> None:
    async with own() as (_server, router, stage):
        ids = [(await stage.submit(f"before-{number}")).envelope.data.task_id for number in range(TASKS // 2)]
        await stage.inference(ids[0])
        router.kill()
        ids += [(await stage.submit(f"while-{number}")).envelope.data.task_id for number in range(TASKS // 2)]
        router.start()
        for task_id in ids[: TASKS // 2]:
            await stage.judge(await stage.answer(await stage.inference(task_id)), FAILED)
        router.kill()
        router.start()
        for task_id in ids:
            number = 2 if task_id in ids[: TASKS // 2] else 1
            await stage.round(task_id, number, PASSED)
        decided = [(await stage.decided(task_id)).data for task_id in ids]
        assert all(isinstance(one.outcome, Accepted) for one in decided)
        assert [len(one.slip.attempts) for one in decided] == [2] * (TASKS // 2) + [1] * (TASKS // 2)
        assert await stage.dead() == [], "no second, different event was ever tried"


@pytest.mark.requirement("S2-policy")
async def test_a_task_lives_under_the_policy_that_it_was_accepted_under(own: Callable[..., Any]) -> None:
    async with own() as (server, _router, stage):
        before = (await stage.submit("before")).envelope.data.task_id
        asked = await stage.inference(before)
        stricter = with_rule("B", "2", repairs=0)
        await publish_documents(server, stricter)
        await stage.judge(await stage.answer(asked), FAILED)
        assert (await stage.inference(before, 2)).data.slip.attempts[-1].why == "repair"
        after = (await stage.submit("after")).envelope.data.task_id
        await stage.round(after, 1, FAILED)
        assert (await stage.inference(after, 2)).data.slip.attempts[-1].why == "escalation"
        pins = [
            (await stage.there(TaskAcceptedV1, subjects.task_accepted(task))).data.policy for task in (before, after)
        ]
        assert pins == [POLICY.digest(), stricter.digest()]


async def test_a_review_that_nobody_decides_ends_by_its_own_deadline(own: Callable[..., Any]) -> None:
    async with own(with_rule("C", "1", review_time_ms=1000)) as (_server, _router, stage):
        task_id = (await stage.submit("lonely", "C")).envelope.data.task_id
        asked = await stage.waiting_review(task_id)
        decided = (await stage.decided(task_id)).data
        assert isinstance(decided.outcome, Abstained)
        assert decided.outcome.code == "review-deadline"
        assert asked.id in [cite.event_id for cite in decided.cites]


async def test_a_submission_that_cannot_be_read_fails_the_task_that_its_subject_names(own: Callable[..., Any]) -> None:
    async with own() as (server, _router, stage):
        task_id = "acme_" + "0" * 32
        await said_by_hand(server, subjects.task_submitted("acme", task_id))
        decided = (await stage.decided(task_id)).data
        assert isinstance(decided.outcome, Failed)
        assert decided.outcome.code == "unreadable"
        assert [(type(one), one.reason) for one in await stage.dead()] == [(DeadLetteredV1, "unreadable")]


async def test_submissions_that_name_no_task_leave_a_dead_letter_each_and_nothing_else(own: Callable[..., Any]) -> None:
    """The router hears of its own dead letters too: answering one with another would never end."""
    async with own() as (server, _router, stage):
        for name in NAMELESS:
            await said_by_hand(server, subjects.task_submitted("acme", name))
        known = (await stage.submit("after")).envelope.data.task_id
        await stage.inference(known)
        await asyncio.sleep(1.0)
        letters = await stage.dead()
        assert [(type(one), one.origin.stream) for one in letters] == [(DeadLetteredV1, "TASK")] * len(NAMELESS)


@pytest.mark.requirement("S9-gate")
async def test_a_request_whose_handler_never_ends_goes_to_the_next_tier(own: Callable[..., Any]) -> None:
    async with own(ack_wait=0.3) as (server, _router, stage):
        task_id = (await stage.submit("stuck")).envelope.data.task_id
        await stage.inference(task_id)
        client = await nats.connect(server.url)
        worker = await client.jetstream().pull_subscribe_bind("inference-worker-s--requested", "INFERENCE")

        async def never_end() -> None:
            while True:
                await worker.fetch(1, timeout=30)

        stuck = asyncio.create_task(never_end())
        try:
            second = await stage.inference(task_id, 2)
        finally:
            stuck.cancel()
            await asyncio.gather(stuck, return_exceptions=True)
            await client.close()
        assert (second.data.tier, second.data.slip.attempts[-1].why) == ("m", "escalation")
        assert "crashed" in second.data.slip.attempts[-1].rule


async def test_a_settled_request_that_was_never_acknowledged_is_not_asked_again(own: Callable[..., Any]) -> None:
    async with own() as (server, _router, stage):
        task_id = (await stage.submit("forgetful")).envelope.data.task_id
        checks = await stage.answer(await stage.inference(task_id))
        client = await nats.connect(server.url)
        stream = client.jetstream()
        worker = await stream.pull_subscribe_bind("inference-worker-s--requested", "INFERENCE")
        advised = await stream.pull_subscribe_bind("evidence-ledger--advisory", "ADVISORY")
        try:
            async with asyncio.timeout(15):
                for _ in range(8):
                    for delivery in await worker.fetch(1, timeout=5):
                        await delivery.nak()
                waiting = asyncio.create_task(worker.fetch(1, timeout=3))
                await advised.fetch(1, timeout=10)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
        finally:
            await client.close()
        await stage.judge(checks, PASSED)
        decided = (await stage.decided(task_id)).data
        assert isinstance(decided.outcome, Accepted)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await stage.inference(task_id, 2)


async def said_by_hand(server: Any, subject: str) -> None:
    """Publish what is no event, as a program without our SDK may."""
    client = await nats.connect(server.url)
    await client.jetstream().publish(subject, b"{")
    await client.close()
