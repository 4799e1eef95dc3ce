"""Publishes the events of whole tasks, as fast as the broker takes them or so many a second. `python events.py URL FIRST TASKS [RATE]`."""

import asyncio
import sys
import time

import nats
import uvloop
from tierproof_evidence_ledger.testing import answered_task

WINDOW = 2000  # messages between two round trips


async def main(url: str, first: int, tasks: int, rate: float = float("inf")) -> None:
    """Publish seven events per task; streams keep what they are sent, nothing is awaited one by one."""
    client = await nats.connect(url, pending_size=64 * 2**20)
    sent, began = 0, time.monotonic()
    for number in range(first, first + tasks):
        for event in answered_task(number).events:
            await client.publish(event.data.subject(), event.to_bytes())
            sent += 1
            if sent % WINDOW == 0:
                await client.flush(60)
        if (early := began + sent / rate - time.monotonic()) > 0:
            await asyncio.sleep(early)
    await client.flush(60)
    await client.close()
    print(sent)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:])))
