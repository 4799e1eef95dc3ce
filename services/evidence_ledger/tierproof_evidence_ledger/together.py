"""Work that begins and ends together."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

PATIENCE_SECONDS = 0.2  # between two cancellations of the same task


async def first_ended(*work: Coroutine[Any, Any, None]) -> int:
    """Run coroutines until one ends, then end the others; return which one it was, or raise its error."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(tasks)
    for task in done:
        task.result()
    return next(index for index, task in enumerate(tasks) if task in done)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: asyncio.wait_for of Python 3.11, which drivers use, may swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=PATIENCE_SECONDS)
