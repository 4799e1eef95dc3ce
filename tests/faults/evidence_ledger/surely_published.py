"""The events of whole tasks, published until the broker has acknowledged each, whatever is killed meanwhile.

A publication that was interrupted is repeated; when the broker then refuses it as already there, the bytes that lie on its subject are
compared. Only what was stored as it was sent counts as acknowledged.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import nats
import nats.errors
import psycopg
from nats.aio.client import Client
from tierproof_contracts import topology
from tierproof_contracts.envelope import Envelope
from tierproof_evidence_ledger.testing import answered_task

EVENTS_PER_TASK = 7
IN_FLIGHT = 96  # tasks that are published at the same time, each in its order
ANSWER_SECONDS, PAUSE = 2.0, 0.05
TAKEN = 10077  # with "per subject": maximum messages per subject exceeded
READ = """SELECT coalesce(sum(n), 0) FROM (
    SELECT (SELECT max(stream_seq) FROM ledger.ingest_key k WHERE k.stream_id = s.stream_id) AS n FROM ledger.stream s) read"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An acknowledged event: where it lies, and the SHA-256 of its bytes."""

    subject: str
    stream: str
    sequence: int
    digest: bytes


class OtherBytes(Exception):
    """The broker holds other bytes on a subject than were sent to it."""


class Recorded:
    """How many events the ledger has recorded, looked up again and again in a thread of its own; the last number while it is away."""

    def __init__(self, dsn: str) -> None:
        self.count = 0
        self._dsn = dsn
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="recorded")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as rows,
            ):
                while not self._stop.wait(PAUSE):
                    self.count = int(rows.execute(READ).fetchall()[0][0])
            self._stop.wait(PAUSE)


@dataclass(slots=True, kw_only=True)
class Publication:
    """Publishes the events of `tasks` tasks, never more than `ahead` events before what is `recorded`; runs in a thread of its own.

    `told` is filled as events are acknowledged, by event id. `repeated` counts publications that had to be sent again, `found` those of
    them that turned out to be there.
    """

    url: str
    tasks: int
    ahead: int
    recorded: Recorded
    told: dict[str, Told] = field(default_factory=dict)
    repeated: int = 0
    found: int = 0
    failed: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def events(self) -> int:
        """How many events there will be."""
        return self.tasks * EVENTS_PER_TASK

    @property
    def acknowledged(self) -> int:
        """How many events the broker holds for certain."""
        return len(self.told)

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="publication")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self.failed = error

    async def _publish(self) -> None:
        numbers = iter(range(self.tasks))
        async with connected(self.url) as client, asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, self.tasks)):
                group.create_task(self._work(client, numbers))

    async def _work(self, client: Client, numbers: Iterator[int]) -> None:
        for number in numbers:
            for event in answered_task(number).events:
                while self._is_far_ahead() and not self._stop.is_set():  # noqa: ASYNC110 - another thread counts
                    await asyncio.sleep(PAUSE)
                await self._one(client, event)
            if self._stop.is_set():
                return

    def _is_far_ahead(self) -> bool:
        return self.acknowledged - self.recorded.count > self.ahead

    async def _one(self, client: Client, event: Envelope[Any]) -> None:
        subject, content = event.data.subject(), event.to_bytes()
        stream = topology.stream_of(subject)
        while not self._stop.is_set():
            try:
                sequence = await self._stored(client, stream, subject, content)
            except (nats.errors.Error, OSError, TimeoutError):
                sequence = None
            if sequence is not None:
                digest = hashlib.sha256(content).digest()
                self.told[event.id] = Told(subject=subject, stream=stream, sequence=sequence, digest=digest)
                return
            self.repeated += 1
            await asyncio.sleep(PAUSE)

    async def _stored(self, client: Client, stream: str, subject: str, content: bytes) -> int | None:
        """Return the place of an event in its stream, None when that is not known yet; raises OtherBytes."""
        reply = await client.request(subject, content, timeout=ANSWER_SECONDS)
        answer = json.loads(reply.data)
        if "error" not in answer:
            return int(answer["seq"])
        if answer["error"].get("err_code") != TAKEN or "per subject" not in answer["error"].get("description", ""):
            return None
        asked = json.dumps({"last_by_subj": subject}).encode()
        reply = await client.request(f"$JS.API.STREAM.MSG.GET.{stream}", asked, timeout=ANSWER_SECONDS)
        lying = json.loads(reply.data).get("message")
        if lying is None:
            return None
        if base64.b64decode(lying["data"]) != content:
            raise OtherBytes(subject)
        self.found += 1
        return int(lying["seq"])


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Connect for as long as the block lasts, again and again when the broker is away."""

    async def silent(_error: Exception) -> None:
        """Nothing: what was interrupted is repeated."""

    client = await nats.connect(
        url,
        max_reconnect_attempts=-1,
        reconnect_time_wait=PAUSE,
        connect_timeout=2,
        error_cb=silent,
        allow_reconnect=True,
    )
    try:
        yield client
    finally:
        await client.close()
