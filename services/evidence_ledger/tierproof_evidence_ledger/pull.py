"""Continuous pulling from one durable: messages as they come, in the stream's order; one acknowledgement covers all before it."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from tierproof_bus.errors import Transient
from tierproof_bus.link import Link
from tierproof_bus.streams import answer_of
from tierproof_contracts.topology import Consumer

from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.errors import StreamLost

_log = structlog.get_logger()
EXPIRES_SECONDS = 30.0
HEARTBEATS_PER_SILENCE = 4
NANOSECONDS = 1_000_000_000
ENDED = ("404", "408")  # nothing there; the request has run out
FLOW = ("100",)  # heartbeat


class Pull:
    """One durable's messages, put into a shared queue as (pull, delivered, reply subject)."""

    def __init__(
        self,
        client: Client,
        consumer: Consumer,
        created: str,
        *,
        batch: int,
        silence: float,
        arrived: Callable[["Pull", Delivered, str], None],
    ) -> None:
        self.consumer = consumer
        self._client = client
        self._created = created
        self._batch = batch
        self._silence = silence
        self._arrived = arrived
        self._asked = 0
        self._heard = time.monotonic()
        self._ended = asyncio.Event()
        self._lost: str | None = None
        self._subscription: Subscription | None = None

    async def run(self) -> None:
        """Pull until cancelled; raises StreamLost when the consumer is gone or silent."""
        inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        try:
            while True:
                self._ended.clear()
                await self._ask(inbox)
                await self._wait()
        finally:
            if self._client.is_connected:
                await self._subscription.unsubscribe()

    async def _ask(self, inbox: str) -> None:
        self._asked = self._batch
        wanted = {
            "batch": self._batch,
            "expires": int(EXPIRES_SECONDS * NANOSECONDS),
            "idle_heartbeat": int(self._silence / HEARTBEATS_PER_SILENCE * NANOSECONDS),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.consumer.stream}.{self.consumer.durable}"
        await self._client.publish(subject, json.dumps(wanted).encode(), reply=inbox)
        self._heard = time.monotonic()

    async def _wait(self) -> None:
        while not self._ended.is_set():
            try:
                await asyncio.wait_for(self._ended.wait(), self._silence / HEARTBEATS_PER_SILENCE)
            except TimeoutError:
                if time.monotonic() - self._heard > self._silence:
                    raise StreamLost(
                        f"{self.consumer.durable}: no word from the broker for {self._silence} s"
                    ) from None
        if self._lost:
            raise StreamLost(f"{self.consumer.durable}: {self._lost}")

    async def _on_message(self, message: Msg) -> None:
        self._heard = time.monotonic()
        if message.reply.startswith("$JS.ACK."):
            self._take(message)
        else:
            self._on_status((message.headers or {}).get("Status", ""), message)

    def _on_status(self, status: str, message: Msg) -> None:
        if status in FLOW:
            return
        if status not in ENDED:
            words = (message.headers or {}).get("Description", "")
            if "Batch Completed" not in words:
                self._lost = f"{status} {words}"
        self._ended.set()

    def _take(self, message: Msg) -> None:
        sequence, stored_at = position_of(message.reply)
        delivered = Delivered(
            stream=self.consumer.stream,
            created=self._created,
            sequence=sequence,
            subject=message.subject,
            stored_at=stored_at,
            content=message.data,
        )
        self._arrived(self, delivered, message.reply)
        self._asked -= 1
        if self._asked == 0:
            self._ended.set()


def position_of(reply: str) -> tuple[int, str]:
    """Return stream sequence and time of storing (RFC 3339, nanoseconds) from a message's acknowledgement subject.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer's>.<nanoseconds>.<pending>`, or with domain and account before
    the stream and a token at the end (NATS ADR-15).
    """
    tokens = reply.split(".")
    sequence, nanoseconds = (tokens[5], tokens[7]) if len(tokens) == 9 else (tokens[7], tokens[9])  # noqa: PLR2004
    seconds, rest = divmod(int(nanoseconds), NANOSECONDS)
    return int(sequence), f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


async def created_at(link: Link, stream: str) -> str:
    """Return when a stream was created, as the broker writes it; raises Transient."""
    answer = answer_of(await link.ask(f"$JS.API.STREAM.INFO.{stream}", b""))
    if "created" not in answer:
        raise Transient(f"stream {stream}: {answer.get('error', {}).get('description', 'no creation time')}")
    return str(answer["created"])
