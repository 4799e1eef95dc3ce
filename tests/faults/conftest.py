"""One whole stack for all fault tests: the no-op model, no worker for tier m, short ack waits. Each test breaks it and checks the books."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack

ACK_WAIT = 2.0


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Run the stack for the whole session."""
    settings = EmbeddedSettings(
        home=tmp_path_factory.mktemp("faults"),
        model_engine="noop",
        tiers=("s", "l"),
        ack_wait=ACK_WAIT,
        restart_first_pause=0.1,
        restart_longest_pause=1.0,
        restart_limit=100,
    )
    async with running_stack(settings) as running:
        yield running
