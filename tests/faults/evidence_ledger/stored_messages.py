"""What a broker holds: every message of every stream, read by a consumer that leaves no trace."""

import asyncio
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig
from tierproof_contracts.topology import LEDGER_STREAMS, consumers_of

from tests.faults.evidence_ledger.surely_published import connected

AT_ONCE = 1000
STREAMS = (*LEDGER_STREAMS, "RESULT", "EVIDENCE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message at its place in a stream."""

    sequence: int
    subject: str
    content: bytes


async def messages_of(url: str) -> dict[str, list[Stored]]:
    """Return every message of the ledger's streams and of those that it writes, by stream."""
    async with connected(url) as client:
        return {stream: await _messages(client, stream) for stream in STREAMS}


async def _messages(client: Client, stream: str) -> list[Stored]:
    found: list[Stored] = []
    jetstream = client.jetstream(timeout=30)
    expected = (await jetstream.stream_info(stream)).state.messages
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True, inactive_threshold=30)
    reader = await jetstream.pull_subscribe("", stream=stream, config=config)
    while len(found) < expected:
        for message in await reader.fetch(min(AT_ONCE, expected - len(found)), timeout=30):
            place = message.metadata.sequence.stream
            found.append(Stored(sequence=place, subject=message.subject, content=message.data))
    await reader.unsubscribe()
    return found


async def unread(url: str) -> dict[str, str]:
    """Return the ledger's durables that still have something to deliver or to acknowledge, with how much."""
    async with connected(url) as client:
        jetstream = client.jetstream(timeout=30)
        infos = await asyncio.gather(
            *(jetstream.consumer_info(each.stream, each.durable) for each in consumers_of("evidence-ledger"))
        )
    return {
        info.name: f"{info.num_pending} undelivered, {info.num_ack_pending} unacknowledged"
        for info in infos
        if info.num_pending or info.num_ack_pending
    }
