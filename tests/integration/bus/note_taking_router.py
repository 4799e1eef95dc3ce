"""A router that writes down what it handled: a program of its own, to be signalled and crashed."""

import asyncio
import os
from pathlib import Path

from tierproof_bus import Bus, BusSettings, Received, Service
from tierproof_contracts.task import TaskSubmittedV1

service = Service("router", BusSettings())
BOOK = Path(os.environ["UNDER_TEST_BOOK"])
SECONDS = float(os.environ.get("UNDER_TEST_SECONDS", "0"))
CRASH_FIRST = os.environ.get("UNDER_TEST_CRASH_FIRST")


def note(line: str) -> None:
    """Write a line down."""
    with BOOK.open("a") as book:
        book.write(f"{line}\n")


@service.on(TaskSubmittedV1, workers=4)
async def accept(event: Received[TaskSubmittedV1], bus: Bus) -> None:
    """Note the start, work, note the end."""
    note(f"start {event.sequence} {event.attempt}")
    if CRASH_FIRST and event.attempt == 1:
        os._exit(9)
    await asyncio.sleep(SECONDS)
    note(f"end {event.sequence} {event.attempt}")


if __name__ == "__main__":
    service.run()
