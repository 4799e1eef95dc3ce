"""Continuous pulling from one durable: messages as they come, in the stream's order; one acknowledgement covers all before it."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

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
from tierproof_evidence_ledger.stream_positions import StreamPositions

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
        next_delivery: int,
        batch: int,
        silence: float,
        arrived: Callable[["Pull", Delivered, str], None],
    ) -> None:
        self.consumer = consumer
        self._client = client
        self._created = created
        self._next_delivery = next_delivery
        self._batch = batch
        self._silence = silence
        self._arrived = arrived
        self._asked = 0
        self._asked_on = 0
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
        self._asked, self._asked_on = self._batch, self._connection
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
                if self._client.is_connected and self._connection != self._asked_on:
                    return  # a broker that was started anew knows of no request; a hole would be noticed by what it delivers
                if time.monotonic() - self._heard > self._silence:
                    raise StreamLost(
                        f"{self.consumer.durable}: no word from the broker for {self._silence} s"
                    ) from None
        if self._lost:
            raise StreamLost(f"{self.consumer.durable}: {self._lost}")

    @property
    def _connection(self) -> int:
        """The number of the connection to the broker: the same client has another one after each loss."""
        return int(self._client.stats["reconnects"])

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
        sequence, delivery, stored_at = position_of(message.reply)
        if self._lost or delivery != self._next_delivery:
            # An acknowledgement covers all before it: behind a hole nothing may be taken, or the hole would be acknowledged.
            self._lost = self._lost or f"delivery {self._next_delivery} was lost; the next one is {delivery}"
            self._ended.set()
            return
        self._next_delivery += 1
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


def position_of(reply: str) -> tuple[int, int, str]:
    """Return stream sequence, consumer's sequence, and time of storing (RFC 3339) from a message's acknowledgement subject.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer's>.<nanoseconds>.<pending>`, or with domain and account before
    the stream and a token at the end (NATS ADR-15).
    """
    tokens = reply.split(".")
    sequence, delivery, nanoseconds = tokens[5:8] if len(tokens) == 9 else tokens[7:10]  # noqa: PLR2004 - the two forms
    seconds, rest = divmod(int(nanoseconds), NANOSECONDS)
    return int(sequence), int(delivery), f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOver:
    """What an earlier sequencer was given and has not acknowledged, and the number of the next delivery."""

    messages: list[Delivered]
    next_delivery: int


async def left_over(link: Link, consumer: Consumer, positions: StreamPositions) -> LeftOver:
    """Read unacknowledged messages from the stream itself. They must be recorded before anything after them is acknowledged.

    Raises Transient when the broker does not answer.
    """
    info = answer_of(await link.ask(f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.durable}", b""))
    if "delivered" not in info:
        raise Transient(f"{consumer.durable}: {info.get('error', {}).get('description', 'no state')}")
    delivered = info["delivered"]
    places = range(int(info["ack_floor"]["stream_seq"]) + 1, int(delivered["stream_seq"]) + 1)
    messages = await positions.messages_of(consumer, places)
    return LeftOver(messages=messages, next_delivery=int(delivered["consumer_seq"]) + 1)
