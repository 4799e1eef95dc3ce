"""A ledger at work for a while, in this process, and what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client
from tierproof_contracts import topology
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.service import serve
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import Story


@asynccontextmanager
async def at_work(settings: LedgerSettings) -> AsyncIterator[None]:
    """Run the service until the block ends, and see it stop in order."""
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop))
    try:
        yield
    finally:
        stop.set()
        assert await asyncio.wait_for(serving, 15) == 0


@asynccontextmanager
async def in_office(ledger: Any, office: Office) -> AsyncIterator[Recorder]:
    """Hold office until the block ends: a recorder alone, without a broker. `ledger` is conftest's LedgerDatabase."""
    store = await Store.open(ledger.dsn("ledger_writer"))
    try:
        yield await begin(store, office)
    finally:
        await store.close()


async def tell(client: Client, *stories: Story) -> None:
    """Publish the events of tasks."""
    stream = client.jetstream()
    for event in (event for story in stories for event in story.events):
        subject = event.data.subject()
        await stream.publish(subject, event.to_bytes(), stream=topology.stream_of(subject))
