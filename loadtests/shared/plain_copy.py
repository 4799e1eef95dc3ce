"""The floor of the ledger: a consumer that takes the same messages in the same batches and copies them into a plain table.

One durable per stream, one synchronous commit per batch, then one acknowledgement per stream. Nothing is read, checked, hashed,
sealed or signed. Prints one JSON object. `python plain_copy.py URL DSN BATCH SECONDS`.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

import nats
import psycopg
import uvloop
from nats.aio.msg import Msg

STREAMS = ("TASK", "INFERENCE", "VERIFICATION")
LINGER, SILENCE = 0.015, 3.0
Held = tuple[str, int, Msg]


async def pulled(client: Any, stream: str, batch: int, arrived: list[Held], more: asyncio.Event) -> None:  # noqa: ANN401 - nats-py
    """Pull one stream for ever, asking for the next batch when one is complete."""
    durable = f"floor-{os.getpid()}--{stream.lower()}"
    config = {"durable_name": durable, "ack_policy": "all", "ack_wait": 30 * 10**9, "max_ack_pending": 8192}
    request = {"stream_name": stream, "config": config, "action": ""}
    await client.request(f"$JS.API.CONSUMER.CREATE.{stream}.{durable}", json.dumps(request).encode())
    inbox, left = client.new_inbox(), 0
    ended = asyncio.Event()

    async def take(message: Msg) -> None:
        nonlocal left
        if not message.reply.startswith("$JS.ACK."):
            ended.set()
            return
        arrived.append((stream, int(message.reply.split(".")[5]), message))
        more.set()
        left -= 1
        if left == 0:
            ended.set()

    await client.subscribe(inbox, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
    while True:
        left, wish = batch, {"batch": batch, "expires": 30 * 10**9}
        ended.clear()
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", json.dumps(wish).encode(), reply=inbox)
        await ended.wait()


async def main(url: str, dsn: str, batch: int, seconds: float) -> None:
    """Copy for so many seconds, or until nothing comes any more."""
    client = await nats.connect(url)
    table = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    await table.execute("DROP TABLE IF EXISTS floor")
    await table.execute(
        "CREATE TABLE floor (stream text, stream_seq bigint, content bytea, PRIMARY KEY (stream, stream_seq))"
    )
    arrived: list[Held] = []
    more = asyncio.Event()
    pulls = [asyncio.create_task(pulled(client, stream, batch, arrived, more)) for stream in STREAMS]
    while not arrived:  # noqa: ASYNC110 - a broker that was just filled is busy with itself
        await asyncio.sleep(0.01)
    began, copied, last = time.monotonic(), 0, time.monotonic()
    while time.monotonic() - began < seconds and time.monotonic() - last < SILENCE:
        if not arrived:
            more.clear()
            await asyncio.wait({asyncio.create_task(more.wait())}, timeout=0.5)
            continue
        if len(arrived) < batch:
            await asyncio.sleep(LINGER)
        taken, arrived[:] = arrived[:batch], arrived[batch:]
        await copy(table, taken)
        await acknowledge(client, taken)
        copied, last = copied + len(taken), time.monotonic()
    elapsed = last - began
    for pull in pulls:
        pull.cancel()
    await client.close()
    await table.close()
    print(json.dumps({"events": copied, "seconds": round(elapsed, 2), "per_second": round(copied / elapsed)}))


async def copy(table: psycopg.AsyncConnection[Any], taken: list[Held]) -> None:
    """Commit one batch by binary COPY."""
    async with (
        table.transaction(),
        table.cursor() as cursor,
        cursor.copy("COPY floor (stream, stream_seq, content) FROM STDIN (FORMAT BINARY)") as rows,
    ):
        rows.set_types(["text", "int8", "bytea"])
        for stream, sequence, message in taken:
            await rows.write_row((stream, sequence, message.data))


async def acknowledge(client: Any, taken: list[Held]) -> None:  # noqa: ANN401 - nats-py
    """Acknowledge the last message of each stream, and with it all before."""
    last = {stream: message.reply for stream, _, message in sorted(taken, key=lambda held: held[1])}
    await asyncio.gather(*(client.request(reply, b"+ACK", timeout=30) for reply in last.values()))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
