"""What is written in one term may be written at the same time; a new term waits for all of it, and ends it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tierproof_evidence_ledger.errors import Deposed
from tierproof_evidence_ledger.sequencer import opened

SOON, STILL = 10.0, 0.5  # seconds


@pytest.mark.requirement("S9-gate")
async def test_a_publication_does_not_wait_for_a_batch_and_a_new_term_does(ledger: Any) -> None:
    async with AsyncExitStack() as stack:
        batches, published, successor = [
            await stack.enter_async_context(opened(ledger.dsn("ledger_writer"))) for _ in range(3)
        ]
        term = await batches.take_term("first")
        async with batches._connection.transaction():
            await batches._in_office(term)
            async with asyncio.timeout(SOON):
                await published.still_in_office(term)
            taking = asyncio.create_task(successor.take_term("second"))
            assert not (await asyncio.wait({taking}, timeout=STILL))[0]
        assert await asyncio.wait_for(taking, SOON) == term + 1
        for one in (batches, published):
            with pytest.raises(Deposed):
                await one.still_in_office(term)
