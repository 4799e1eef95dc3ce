"""The SDK on a real broker, with the permissions that its user has in the topology and no others."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import tierproof
from tierproof.connection import Connection, connected
from tierproof_contracts import subjects
from tierproof_contracts.questions import Proof, Story, StoryAsked
from tierproof_contracts.text import LARGEST_INLINE
from tierproof_embedded.testing import NatsServer

HELLO: dict[str, Any] = {"kind": "greeting", "safety_class": "A", "prompt": "say hello"}
Release = Callable[..., Awaitable[None]]
AT_ONCE = 2.0


def acme(broker: NatsServer, **options: Any) -> Any:
    return tierproof.connect(broker.bare_url, credentials=broker.seed_file("app-acme"), **options)


async def stored(broker: NatsServer) -> int:
    """Return how many messages the TASK stream holds."""
    async with connected(broker.url, credentials=None, user="tester") as tester:
        return int((await tester.client.jetstream().stream_info("TASK")).state.messages)


@pytest.mark.requirement("BUS-delivery")
async def test_a_key_is_one_task_however_often_and_however_many_submit_it(broker: NatsServer) -> None:
    async with acme(broker) as one, acme(broker) as other:
        tasks = await asyncio.gather(*(fleet.submit(**HELLO, key="k") for fleet in (one, other) * 5))
    assert {task.task_id for task in tasks} == {tasks[0].task_id}
    assert tasks[0].task_id.startswith("acme_")
    assert await stored(broker) == 1


async def test_without_a_key_each_call_is_a_task(broker: NatsServer) -> None:
    async with acme(broker) as fleet:
        assert (await fleet.submit(**HELLO)).task_id != (await fleet.submit(**HELLO)).task_id
    assert await stored(broker) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": "say goodbye"}, "prompt"),
        ({"inputs": {"schema": "{}"}}, "inputs"),
        ({"safety_class": "B"}, "safety_class"),
        ({"kind": "farewell"}, "kind"),
        ({"time_allowed": 5}, "time_allowed_ms"),
    ],
)
async def test_another_content_under_a_key_is_refused_and_named(
    broker: NatsServer, change: dict[str, Any], named: str
) -> None:
    async with acme(broker) as fleet:
        await fleet.submit(**HELLO, key="k")
        with pytest.raises(tierproof.AlreadySubmitted, match=named):
            await fleet.submit(**(HELLO | change), key="k")
    assert await stored(broker) == 1


async def test_a_task_that_does_not_fit_its_contract_is_refused_before_it_is_sent(broker: NatsServer) -> None:
    async with acme(broker) as fleet:
        with pytest.raises(tierproof.ClientError, match="safety_class"):
            await fleet.submit(kind="greeting", safety_class="D", prompt="x")
        with pytest.raises(tierproof.TooLarge, match=f"limit is {LARGEST_INLINE}") as refused:
            await fleet.submit(**(HELLO | {"prompt": "é" * (LARGEST_INLINE // 2 + 1)}))
    assert refused.value.size == LARGEST_INLINE + 2
    assert await stored(broker) == 0


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.part11("11.10(h)")
async def test_nobody_speaks_or_hears_for_another_tenant(broker: NatsServer) -> None:
    began = time.monotonic()
    async with acme(broker) as fleet:
        fleet.tenant = "globex"
        with pytest.raises(tierproof.NotPermitted, match="app-acme may not use"):
            await fleet.submit(**HELLO)
    with pytest.raises(tierproof.NotPermitted, match="globex"):
        async with tierproof.connect(
            broker.bare_url, credentials=broker.seed_file("app-acme"), tenant="globex", patience=1
        ):
            pass
    assert time.monotonic() - began < 2 * AT_ONCE
    assert await stored(broker) == 0


@pytest.mark.requirement("BUS-delivery")
async def test_a_result_is_heard_released_before_or_after_asking(broker: NatsServer, release: Release) -> None:
    async with acme(broker) as fleet:
        before, after = await fleet.submit(**HELLO), await fleet.submit(**HELLO)
        await release(before.task_id, answer="before")
        assert (await before.released(timeout=5)).answer == "before"
        waiting = asyncio.create_task(after.released(timeout=10))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await release(after.task_id, answer="after")
        assert (await waiting).answer == "after"
        assert time.monotonic() - began < 0.5, "it was heard, not found by looking again"


async def test_no_result_in_time_is_said_and_the_task_goes_on(broker: NatsServer, release: Release) -> None:
    async with acme(broker) as fleet:
        task = await fleet.submit(**HELLO)
        with pytest.raises(tierproof.NotYet, match=task.task_id):
            await task.released(timeout=0.3)
        await release(task.task_id)
        assert (await task.released(timeout=5)).answer == "hello"


async def _take(results: Any, count: int) -> list[str]:
    taken: list[str] = []
    async with asyncio.timeout(20):
        async for result in results:
            taken.append(result.answer)
            if len(taken) == count:
                break
    await results.aclose()
    return taken


@pytest.mark.requirement("BUS-delivery")
async def test_a_durable_goes_on_where_it_left_off(broker: NatsServer, release: Release) -> None:
    ids = [f"acme_{number:032x}" for number in range(4)]
    for number, task_id in enumerate(ids):
        await release(task_id, answer=str(number))
    await release(f"globex_{9:032x}", answer="another tenant's")
    async with acme(broker) as fleet:
        assert await _take(fleet.results(durable="results"), 3) == ["0", "1", "2"]
    async with acme(broker) as fleet:
        # The third was not acknowledged: its turn had not ended when the consumer stopped.
        assert set(await _take(fleet.results(durable="results"), 1)) <= {"2", "3"}
        with pytest.raises(tierproof.NotPermitted, match="app-acme--own"):
            await _take(fleet.results(durable="own"), 1)


async def test_live_results_are_those_of_the_kind_and_tenant(broker: NatsServer, release: Release) -> None:
    async with acme(broker) as fleet:
        taking = asyncio.create_task(_take(fleet.results(kind="code-review"), 2))
        await asyncio.sleep(0.3)
        for number in range(2):
            await release(f"globex_{number:032x}", kind="code-review", answer="another tenant's")
            await release(f"acme_{number:032x}", kind="greeting", answer="another kind")
            await release(f"acme_{number + 8:032x}", kind="code-review", answer=f"wanted {number}")
        assert await taking == ["wanted 0", "wanted 1"]


@pytest.mark.requirement("BUS-delivery")
async def test_a_submission_outlives_a_broker_that_is_killed(broker: NatsServer) -> None:
    async with acme(broker, patience=3) as fleet:
        await fleet.submit(**HELLO, key="before")
        broker.kill()
        submitting = asyncio.create_task(fleet.submit(**HELLO, key="during"))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(broker.start)
        assert (await submitting).task_id
        assert (await fleet.submit(**HELLO, key="during")).task_id == (await submitting).task_id
    assert await stored(broker) == 2


async def test_no_broker_is_one_sentence_at_once(tmp_path: Path, broker: NatsServer) -> None:
    began = time.monotonic()
    with pytest.raises(tierproof.NotReachable, match=r"no broker answers at nats://127\.0\.0\.1:1 .*tierproof up"):
        async with tierproof.connect("nats://name:secret@127.0.0.1:1", tenant="acme"):
            pass
    with pytest.raises(tierproof.NotReachable, match="does not know the credentials of app-nobody"):
        async with tierproof.connect(broker.bare_url, tenant="nobody"):
            pass
    assert time.monotonic() - began < 2 * AT_ONCE
    with pytest.raises(tierproof.ClientError, match=r"absent\.nk is no file"):
        async with tierproof.connect(broker.bare_url, credentials=tmp_path / "absent.nk", tenant="acme"):
            pass
    with pytest.raises(tierproof.ClientError, match="tenant"):
        async with tierproof.connect(broker.bare_url, credentials=broker.seed_file("auditor")):
            pass


@pytest.mark.requirement("LED-query")
async def test_the_ledgers_refusals_have_names(
    broker: NatsServer, ledger_answers: Callable[..., Awaitable[Connection]]
) -> None:
    question = StoryAsked(task_id=f"acme_{0:032x}")
    async with connected(broker.bare_url, credentials=broker.seed_file("auditor"), patience=2) as auditor:
        with pytest.raises(tierproof.NoAnswer, match="does not answer"):
            await auditor.ask(question, Story)
        refusal = b'{"refused": {"code": "not-found", "message": "no such task"}}'
        await ledger_answers(refusal, b"{}", b'{"answer": {"task_id": 5}}', b"\xff")
        with pytest.raises(tierproof.RefusedByLedger, match="no such task") as refused:
            await auditor.ask(question, Story)
        assert refused.value.code == "not-found"
        for reason in ("empty", "task_id", "cannot be read"):
            with pytest.raises(tierproof.NoAnswer, match=reason):
                await auditor.ask(question, Story)
    async with acme(broker) as fleet:
        with pytest.raises(tierproof.NotPermitted, match=subjects.asked_of_ledger("story", "app-acme")):
            await fleet.connection.ask(question, Story)


@pytest.mark.requirement("LED-proof")
async def test_a_proof_is_asked_for_until_a_checkpoint_covers_it(
    broker: NatsServer, release: Release, ledger_answers: Callable[..., Awaitable[Connection]]
) -> None:
    later = b'{"refused": {"code": "not-yet", "message": "no checkpoint covers it yet"}}'
    await ledger_answers(later, later, b'{"answer": {"index": 4, "entry": "e30=", "proof": "c2sp"}}', later)
    async with acme(broker) as fleet:
        task = await fleet.submit(**HELLO)
        await release(task.task_id)
        result = await task.released(timeout=5)
        with pytest.raises(tierproof.ClientError, match="no proof yet"):
            result.verify("trust.json")
        assert (await fleet.prove(result)).proof == Proof(index=4, entry="e30=", proof="c2sp")
        with pytest.raises(tierproof.RefusedByLedger, match="no checkpoint covers it yet"):
            await fleet.prove(result, patience=0.3)
