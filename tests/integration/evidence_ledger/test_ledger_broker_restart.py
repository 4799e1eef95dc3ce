"""A broker that is started anew has forgotten who waited for messages: the ledger asks again, long before silence would tell."""

import asyncio
import time
from typing import Any

import nats
import pytest
from tierproof_embedded.testing import NatsServer
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.testing import Story, answered_task

from tests.integration.evidence_ledger.at_work import at_work, tell

SILENCE, SOON = 24.0, 12.0  # seconds; it looks four times in a silence


async def recorded(broker: NatsServer, ledger: Any, story: Story) -> None:
    """Publish a task's events and wait for its outcome."""
    client = await nats.connect(broker.url)
    await tell(client, story)
    await client.close()
    query = "SELECT count(*) FROM ledger.outcome WHERE task_id = %s"
    async with asyncio.timeout(2 * SILENCE):
        while ledger.rows(query, story.task_id) != [(1,)]:  # noqa: ASYNC110 - the table is all that tells
            await asyncio.sleep(0.05)


@pytest.mark.requirement("BUS-delivery")
async def test_a_broker_that_was_started_anew_is_asked_again_soon(
    settings: LedgerSettings, broker: NatsServer, ledger: Any
) -> None:
    async with at_work(settings.model_copy(update={"silence_seconds": SILENCE})):
        await recorded(broker, ledger, answered_task(1))
        broker.kill()
        broker.start()
        back = time.monotonic()
        await recorded(broker, ledger, answered_task(2))
        assert time.monotonic() - back < SOON
