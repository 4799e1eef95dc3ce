"""What one completed task left behind: its messages as they lie in the streams, its rows by table, the time of each step."""

import base64
import statistics
from typing import Any

import psycopg
from tierproof_bus import BusError, Raw
from tierproof_bus.bus import Bus
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.envelope import Event
from tierproof_contracts.ids import request_id_of
from tierproof_embedded.stack import Stack

STREAMS = ("TASK", "TIMER", "INFERENCE", "VERIFICATION", "RESULT")
TABLES = ("entry", "ingest_key", "tile", "checkpoint", "outcome", "outbox", "outbox_published", "sealed_text")
KIND = "reg-doc-drafting"


async def messages_of(stack: Stack, task_id: str) -> list[dict[str, Any]]:
    """Return every message of a task in the order of storing: user, subject, headers and content, ready for JSON."""
    found: list[tuple[Raw, str]] = []
    async with Bus.connect("evidence-ledger", stack.bus_settings("evidence-ledger")) as bus:
        for stream in STREAMS:
            sequence = 1
            while (raw := await bus.read_raw(stream, sequence)) is not None:
                sequence += 1
                event = read_event(raw.content)
                if getattr(event.data, "task_id", None) == task_id:
                    found.append((raw, event.source))
    return [
        {
            "user": user,
            "subject": raw.subject,
            "headers": dict(raw.headers),
            "content": base64.b64encode(raw.content).decode(),
        }
        for raw, user in sorted(found, key=lambda pair: pair[0].stored_at)
    ]


def table_sizes(dsn: str) -> dict[str, tuple[int, float]]:
    """Return rows and bytes of all rows by table of the ledger."""
    with psycopg.connect(dsn) as connection:
        rows = {}
        for table in TABLES:
            query = f"SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM ledger.{table} t"  # noqa: S608 - a constant
            count, size = connection.execute(query.encode()).fetchone() or (0, 0)
            rows[table] = (int(count), float(size))
    return rows


def rows_per_task(before: dict[str, tuple[int, float]], after: dict[str, tuple[int, float]], tasks: int) -> list[int]:
    """Return the sizes in bytes of the rows that one task adds, averaged within each table."""
    sizes: list[int] = []
    for table, (count, size) in after.items():
        more = count - before[table][0]
        if more:
            sizes += [round((size - before[table][1]) / more)] * round(more / tasks)
    return sizes


async def step_milliseconds(stack: Stack, task_ids: list[str]) -> dict[str, float]:
    """Return the median milliseconds between the moments at which the broker stored a task's successive events."""
    gaps: dict[str, list[float]] = {}
    async with Bus.connect("evidence-ledger", stack.bus_settings("evidence-ledger")) as bus:
        for task_id in task_ids:
            tenant = task_id.rsplit("_", 1)[0]
            inference, verification = (request_id_of(task_id, step, 1) for step in ("inference", "verification"))
            road = {
                "accepted": subjects.task_accepted(task_id),
                "inference requested": subjects.inference_requested("s", inference),
                "inference settled": subjects.inference_settled("s", inference),
                "verification requested": subjects.verification_requested(KIND, verification),
                "verification settled": subjects.verification_settled(KIND, verification),
                "decided": subjects.task_decided(task_id),
                "released": subjects.result_released(tenant, task_id),
            }
            earlier = await _stored(bus, subjects.task_submitted(tenant, task_id))
            for name, subject in road.items():
                now = await _stored(bus, subject)
                gaps.setdefault(name, []).append(1000 * (now - earlier))
                earlier = now
    return {name: round(statistics.median(found), 2) for name, found in gaps.items()}


async def _stored(bus: Bus, subject: str) -> float:
    found = await bus.read(Event, subject)
    if found is None:
        raise BusError(f"{subject} holds nothing")
    return found.stored_at.timestamp()
