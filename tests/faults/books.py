"""`check_books`: what must hold after every fault, whatever the fault was.

Every submitted task has exactly one released outcome, or waits in an open review; nothing was released before the evidence it cites;
class C went through a person; every stored event is in the ledger once; nothing is left unpublished or unacknowledged.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import LiteralString, Self

import nats
import psycopg
from nats.js.api import StreamInfo
from tierproof_contracts.ids import tenant_of
from tierproof_contracts.subjects import every
from tierproof_contracts.topology import CONSUMERS, LEDGER_STREAMS, inbox_of

LOOK = 0.25
WITHOUT_WORKER = {
    f"inference-worker-{tier}" for tier in "mve"
}  # nobody reads these durables in the stack of the fault tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What became of the submitted tasks."""

    released: dict[str, str]
    waiting: frozenset[str]
    entries: int
    problems: tuple[str, ...] = field(default=())

    def count(self, status: str) -> int:
        """Return how many tasks ended in a status."""
        return sum(each == status for each in self.released.values())


class Auditor:
    """Reads streams with the provisioner's rights and the database with the owner's."""

    def __init__(self, nats_url: str, seed_file: str, dsn: str) -> None:
        self._nats_url = nats_url
        self._seed_file = seed_file
        self._dsn = dsn

    async def __aenter__(self) -> Self:
        self.nats = await nats.connect(
            self._nats_url,
            nkeys_seed=self._seed_file,
            inbox_prefix=inbox_of("provisioner").encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,
        )
        self.jetstream = self.nats.jetstream(timeout=10)
        self.database = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()
        await self.nats.close()

    async def subjects(self, stream: str, pattern: str) -> set[str]:
        """Return the last token of every stored subject that fits a pattern (the server pages; so do we)."""
        found: set[str] = set()
        while True:
            request = json.dumps({"subjects_filter": pattern, "offset": len(found)}).encode()
            reply = await self.nats.request(f"$JS.API.STREAM.INFO.{stream}", request, timeout=10)
            page = json.loads(reply.data)["state"].get("subjects") or {}
            known = len(found)
            found |= {subject.rsplit(".", 1)[1] for subject in page}
            if len(found) == known:
                return found

    async def stream(self, name: str) -> StreamInfo:
        """Return the state of a stream."""
        return await self.jetstream.stream_info(name)

    async def rows(self, query: LiteralString, *values: str) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        cursor = await self.database.execute(query, values)
        return list(await cursor.fetchall())


async def check_books(auditor: Auditor, *, patience: float, submitted: set[str] | None = None) -> Books:
    """Wait until every submitted task has ended or waits for a person, then assert what must hold."""
    books = await _settled(auditor, submitted or set(), patience)
    problems = [*await _evidence_before_release(auditor), *await _class_c_confirmed(auditor)]
    assert not problems, "\n".join(problems)
    until = time.monotonic() + patience
    # Timers go on firing: what must come to rest is looked at until it does.
    while problems := [*await _outcomes(auditor), *await _recorded_once(auditor), *await _pending(auditor)]:
        assert time.monotonic() < until, "\n".join(problems)
        await asyncio.sleep(LOOK)
    return books


async def _settled(auditor: Auditor, submitted: set[str], patience: float) -> Books:
    until = time.monotonic() + patience
    while True:
        asked = submitted | {
            task for task in await auditor.subjects("TASK", every("task.submitted.v1")) if _is_task_id(task)
        }
        released = {
            str(task): str(status) for task, status in await auditor.rows("SELECT task_id, status FROM ledger.outcome")
        }
        published = await auditor.subjects("RESULT", every("result.released.v1"))
        waiting = frozenset(
            await auditor.subjects("REVIEW", every("review.requested.v1"))
            - await auditor.subjects("REVIEW", every("review.decided.v1"))
            - set(released)
        )
        open_tasks = asked - (set(released) & published) - waiting
        if not open_tasks:
            (entries,) = (await auditor.rows("SELECT count(*) FROM ledger.entry"))[0]
            return Books(released=released, waiting=waiting, entries=int(str(entries)))
        assert time.monotonic() < until, (
            f"{len(open_tasks)} tasks without outcome, for example {sorted(open_tasks)[:3]}"
        )
        await asyncio.sleep(LOOK)


def _is_task_id(token: str) -> bool:
    return "_" in token and tenant_of(token) != token


async def _outcomes(auditor: Auditor) -> list[str]:
    published = await auditor.subjects("RESULT", every("result.released.v1"))
    recorded = {str(task) for (task,) in await auditor.rows("SELECT task_id FROM ledger.outcome")}
    counts = await auditor.rows("SELECT task_id, count(*) FROM ledger.outcome GROUP BY task_id HAVING count(*) > 1")
    return [
        *(f"{task}: released, but no outcome in the ledger" for task in published - recorded),
        *(f"{task}: outcome in the ledger, but never released" for task in recorded - published),
        *(f"{task}: {count} outcomes" for task, count in counts),
    ]


async def _evidence_before_release(auditor: Auditor) -> list[str]:
    """Every event that a released decision cites is an entry with a smaller position than the release."""
    query = """
        SELECT outcome.task_id, cite ->> 'event_id'
        FROM ledger.outcome
        JOIN ledger.v_entry decision ON decision.event_id = outcome.decision
        CROSS JOIN LATERAL jsonb_array_elements(ledger.json_of(decision.canonical) #> '{event,data,cites}') cite
        LEFT JOIN ledger.v_entry cited ON cited.event_id = cite ->> 'event_id'
        WHERE outcome.status = 'answered' AND (cited.seq IS NULL OR cited.seq > outcome.seq)
    """
    return [f"{task}: released without cited event {event}" for task, event in await auditor.rows(query)]


async def _class_c_confirmed(auditor: Auditor) -> list[str]:
    query = """
        SELECT outcome.task_id
        FROM ledger.outcome
        JOIN ledger.v_entry submitted ON submitted.task_id = outcome.task_id AND submitted.event_type = 'task.submitted.v1'
        WHERE outcome.status = 'answered' AND submitted.safety_class = 'C' AND NOT EXISTS (
            SELECT 1 FROM ledger.v_entry review
            WHERE review.task_id = outcome.task_id AND review.event_type = 'review.decided.v1' AND review.seq < outcome.seq
              AND ledger.json_of(review.canonical) #>> '{event,data,verdict}' = 'confirm')
    """
    return [f"{task}: class C answered without a person" for (task,) in await auditor.rows(query)]


async def _recorded_once(auditor: Auditor) -> list[str]:
    """Each stored message of each stream that the ledger follows was read once."""
    problems = []
    for stream, filters in LEDGER_STREAMS.items():
        state = (await auditor.stream(stream)).state
        stored = state.messages
        if stream == "TIMER":  # schedules lie beside the expiries, and the ledger follows the expiries alone
            stored = sum([len(await auditor.subjects(stream, pattern)) for pattern in filters])
        query = "SELECT count(*) FROM ledger.v_ingest_key WHERE stream = %s"
        (read,) = (await auditor.rows(query, stream))[0]
        if int(str(read)) < stored:
            problems.append(f"{stream}: {stored} messages stored, {read} in the ledger")
    twice = await auditor.rows(
        "SELECT event_id, count(*) FROM ledger.v_entry WHERE kind = 'event' GROUP BY event_id HAVING count(*) > 1"
    )
    return [*problems, *(f"event {event}: {count} entries" for event, count in twice)]


async def _pending(auditor: Auditor) -> list[str]:
    pending = [
        f"{consumer.durable}: {info.num_ack_pending} unacknowledged, {info.num_pending} unread"
        for consumer in CONSUMERS
        if consumer.service not in WITHOUT_WORKER
        if (info := await auditor.jetstream.consumer_info(consumer.stream, consumer.durable))
        if info.num_ack_pending or info.num_pending
    ]
    unpublished = await auditor.rows(
        "SELECT kind, ref FROM ledger.outbox WHERE NOT EXISTS "
        "(SELECT 1 FROM ledger.outbox_published p WHERE p.kind = outbox.kind AND p.ref = outbox.ref)"
    )
    return [*pending, *(f"outbox: {kind} {ref} not published" for kind, ref in unpublished[:3])]
