"""The floor: what one task must at least do, with bare clients. Run in a process of its own; prints one JSON object.

The messages of one real task are published again under new ids, one after the other as causality demands, each awaited until the
broker has synced it; the model is called where the task called it; as many rows as the task leaves in the ledger are appended by COPY,
one synchronous commit at a time for whoever waits, before the last message (the release). Nothing is read, decided, checked or signed.

`python floor.py SPEC` with SPEC the JSON file that whole_path.py writes.
"""

import asyncio
import base64
import json
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import psycopg
import uvloop
from nats.aio.client import Client
from tierproof_contracts.topology import inbox_of
from tierproof_inference_worker.profiles import PROFILES, Capabilities, Order, compared, tensors_of
from tierproof_inference_worker.triton import _input
from tritonclient.grpc.aio import InferenceServerClient

SOLO_CALLS = 30
SCHEDULE_SECONDS = 600
ANSWER_SECONDS = 30.0


class Rows:
    """Appends rows by COPY: everything that waits goes into the next synchronous commit."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._waiting: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self._more = asyncio.Event()
        self.commits = 0

    async def append(self, rows: list[bytes]) -> None:
        """Return when the rows are committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        self._more.set()
        await done

    async def run(self) -> None:
        """Commit until cancelled."""
        number = 0
        while True:
            await self._more.wait()
            self._more.clear()
            batch, self._waiting = self._waiting, []
            async with (
                self._connection.transaction(),
                self._connection.cursor() as cursor,
                cursor.copy("COPY floor (n, content) FROM STDIN (FORMAT BINARY)") as copy,
            ):
                copy.set_types(["int8", "bytea"])
                for row in (row for rows, _ in batch for row in rows):
                    number += 1
                    await copy.write_row((number, row))
            self.commits += 1
            for _, done in batch:
                done.set_result(None)


class Model:
    """The same call as the worker's: the same tensors, streamed."""

    def __init__(self, client: InferenceServerClient, asked: dict[str, Any], able: Capabilities) -> None:
        decode = asked["decode"]
        order = Order(
            text=asked["prompt"]["text"],
            max_tokens=decode["max_tokens"],
            temperature_micro=decode["temperature_micro"],
            top_p_micro=decode["top_p_micro"],
            top_k=decode.get("top_k"),
            seed=decode["seed"],
            schema=asked.get("answer_schema", {}).get("text"),
        )
        tensors = tensors_of(order, PROFILES["trtllm-llmapi"], able)
        self._client = client
        self._asked = {"model_name": "tier_s", "inputs": [_input(name, made) for name, made in tensors.items()]}

    async def call(self) -> float:
        """Return the seconds until the whole answer was there."""

        async def once() -> AsyncIterator[dict[str, Any]]:
            yield self._asked

        started = time.perf_counter()
        async for _result, error in self._client.stream_infer(once()):
            if error is not None:
                raise error
        return time.perf_counter() - started


class Floor:
    """One task's least work, again and again."""

    def __init__(self, spec: dict[str, Any], clients: dict[str, Client], model: Model, rows: Rows) -> None:
        self._messages = [message | {"content": base64.b64decode(message["content"])} for message in spec["messages"]]
        self._rows = [bytes(size) for size in spec["rows"]]
        self._ids: list[str] = spec["ids"]
        self._clients, self._model, self._batches = clients, model, rows

    async def task(self) -> None:
        """Publish, call, append, publish."""
        fresh = {old: uuid.uuid4().hex if "-" not in old else str(uuid.uuid4()) for old in self._ids}
        for number, message in enumerate(self._messages, 1):
            if number == len(self._messages):
                await self._batches.append(self._rows)
            await self._publish(message, fresh)
            if ".inference.requested." in message["subject"]:
                await self._model.call()

    async def _publish(self, message: dict[str, Any], fresh: dict[str, str]) -> None:
        headers = {name: _renamed(value, fresh) for name, value in message["headers"].items()}
        headers["Nats-Msg-Id"] = str(uuid.uuid4())
        if "Nats-Schedule" in headers:
            headers["Nats-Schedule"] = (
                f"@at {(datetime.now(UTC) + timedelta(seconds=SCHEDULE_SECONDS)).isoformat().replace('+00:00', 'Z')}"
            )
        client = self._clients[message["user"]]
        subject = _renamed(message["subject"], fresh)
        reply = await client.request(subject, message["content"], timeout=ANSWER_SECONDS, headers=headers)
        answer = json.loads(reply.data)
        if "seq" not in answer or answer.get("duplicate"):
            raise SystemExit(f"{subject}: {answer}")


def _renamed(text: str, fresh: dict[str, str]) -> str:
    for old, new in fresh.items():
        text = text.replace(old, new)
    return text


async def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Run the floor for spec["seconds"] with spec["in_flight"] tasks at once."""
    clients = {
        user: await nats.connect(spec["nats_url"], nkeys_seed=seed, inbox_prefix=inbox_of(user).encode())
        for user, seed in spec["seeds"].items()
    }
    triton = InferenceServerClient(spec["triton_url"])
    metadata = await triton.get_model_metadata("tier_s", as_json=True)
    declared = [{each["name"]: each["datatype"] for each in metadata[side]} for side in ("inputs", "outputs")]
    asked = next(
        json.loads(base64.b64decode(message["content"]))["data"]
        for message in spec["messages"]
        if ".inference.requested." in message["subject"]
    )
    model = Model(triton, asked, compared(PROFILES["trtllm-llmapi"], *declared))
    solo = sorted([await model.call() for _ in range(SOLO_CALLS)][SOLO_CALLS // 3 :])
    async with await psycopg.AsyncConnection.connect(spec["dsn"], autocommit=True) as connection:
        await connection.execute("DROP TABLE IF EXISTS floor")
        await connection.execute("CREATE TABLE floor (n bigint PRIMARY KEY, content bytea NOT NULL)")
        rows = Rows(connection)
        committing = asyncio.create_task(rows.run())
        floor = Floor(spec, clients, model, rows)
        await floor.task()
        took, within = await _closed(floor, spec["seconds"], spec["in_flight"])
        committing.cancel()
    for client in clients.values():
        await client.close()
    await triton.close()
    return {
        "tasks_per_second": round(within / spec["seconds"], 2),
        "latency_ms_p50": round(1000 * statistics.median(took), 2),
        "model_call_alone_ms_p50": round(1000 * statistics.median(solo), 2),
        "commits_per_second": round(rows.commits / spec["seconds"], 1),
    }


async def _closed(floor: Floor, seconds: float, in_flight: int) -> tuple[list[float], int]:
    until = time.perf_counter() + seconds
    took, within = [], 0

    async def again() -> None:
        nonlocal within
        while (started := time.perf_counter()) < until:
            await floor.task()
            took.append(time.perf_counter() - started)
            within += time.perf_counter() <= until

    await asyncio.gather(*(again() for _ in range(in_flight)))
    return took, within


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))))
