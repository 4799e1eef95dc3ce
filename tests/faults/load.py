"""Load that survives the fault: submissions with idempotency keys, repeated until the broker has stored them."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import tierproof
from tierproof_embedded.stack import Stack

SCHEMA = {
    "type": "object",
    "properties": {"id": {"enum": ["REQ-1"]}, "text": {"type": "string", "minLength": 10}},
    "required": ["id", "text"],
    "additionalProperties": False,
}
INPUTS = {
    "schema": json.dumps(SCHEMA),
    "rules": json.dumps({"version": 1, "rules": []}),
    "requirements": "REQ-1",
    "pattern": "REQ-[0-9]+",
}
TIME_ALLOWED = 20.0
GAP = 0.05
PAUSE = 0.25


def task(*, safety_class: str = "B", right: bool = True, time_allowed: float = TIME_ALLOWED) -> dict[str, Any]:
    """Return a task that the no-op model answers rightly, or wrongly each time."""
    answer = {"id": "REQ-1" if right else "REQ-9", "text": "The pump shall stop on occlusion."}
    return {
        "kind": "reg-doc-drafting",
        "safety_class": safety_class,
        "prompt": f"<<<ANSWER\n{json.dumps(answer)}\nANSWER>>>",
        "inputs": INPUTS,
        "time_allowed": time_allowed,
    }


async def submit_surely(fleet: tierproof.Fleet, given: dict[str, Any]) -> str:
    """Submit under one key until the broker has stored it."""
    key = secrets.token_hex(8)
    while True:
        try:
            return (await fleet.submit(**given, key=key)).task_id
        except tierproof.NotReachable:
            await asyncio.sleep(PAUSE)


async def under_load(stack: Stack, fault: Callable[[], Awaitable[None]], *, tasks: int = 60) -> set[str]:
    """Submit tasks one after the other while the fault happens in the middle; returns their ids."""
    submitted: set[str] = set()
    async with tierproof.connect(stack.nats_url, credentials=stack.seed_file("app-demo"), patience=2) as fleet:

        async def load() -> None:
            for _ in range(tasks):
                submitted.add(await submit_surely(fleet, task()))
                await asyncio.sleep(GAP)

        loading = asyncio.create_task(load())
        await asyncio.sleep(tasks * GAP / 3)
        await fault()
        await loading
    return submitted
