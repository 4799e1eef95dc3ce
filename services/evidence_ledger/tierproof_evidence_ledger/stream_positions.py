"""Streams by position: what a ledger reads of them after a crash or a disaster, whatever is acknowledged. Writes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_bus.errors import Transient
from tierproof_bus.link import Link
from tierproof_bus.streams import JetStreams, answer_of
from tierproof_contracts.ids import written
from tierproof_contracts.topology import Consumer

from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.store import Store

AT_ONCE = 64  # questions to the broker at a time
_MISSING = """
    SELECT place + 1, following - 1 FROM (
        SELECT place, lead(place) OVER (ORDER BY place) AS following FROM (
            SELECT %s::bigint - 1 AS place UNION ALL SELECT %s::bigint + 1 UNION ALL
            SELECT k.stream_seq FROM ledger.ingest_key k JOIN ledger.stream s USING (stream_id)
            WHERE s.name = %s AND s.created = %s AND k.stream_seq BETWEEN %s AND %s) places) pairs
    WHERE following - place > 1 ORDER BY place"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """A stream as the broker knows it: its name, when it was made, its first and last position (last < first: empty)."""

    name: str
    created: str
    first: int
    last: int


class StreamPositions:
    """Reads messages by their place."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._streams = JetStreams(link)
        self._states: dict[str, StreamState] = {}

    async def state(self, stream: str) -> StreamState:
        """Return a stream's state as it was when first asked for; raises Transient."""
        if stream not in self._states:
            answer = answer_of(await self._link.ask(f"$JS.API.STREAM.INFO.{stream}", b""))
            if "created" not in answer:
                raise Transient(f"stream {stream}: {answer.get('error', {}).get('description', 'no state')}")
            state = answer["state"]
            self._states[stream] = StreamState(
                name=stream,
                created=str(answer["created"]),
                first=max(1, int(state["first_seq"])),  # 0 where nothing was ever stored
                last=int(state["last_seq"]),
            )
        return self._states[stream]

    async def messages(self, stream: str, places: Sequence[int]) -> list[Delivered]:
        """Return the messages at those of the places that still hold one, in order."""
        state = await self.state(stream)
        found: list[Delivered] = []
        for start in range(0, len(places), AT_ONCE):
            asked = (self._streams.at(stream, place) for place in places[start : start + AT_ONCE])
            found += [
                Delivered(
                    stream=stream,
                    created=state.created,
                    sequence=raw.sequence,
                    subject=raw.subject,
                    stored_at=written(raw.stored_at),
                    content=raw.content,
                )
                for raw in await asyncio.gather(*asked)
                if raw is not None
            ]
        return found

    async def messages_of(self, consumer: Consumer, places: Sequence[int]) -> list[Delivered]:
        """Return those of the messages at the places that are a consumer's, in order."""
        wanted = tuple(pattern.removesuffix(">") for pattern in consumer.filters)
        return [each for each in await self.messages(consumer.stream, places) if each.subject.startswith(wanted)]

    async def last_on(self, stream: str, subject: str) -> dict[str, Any] | None:
        """Return the event that lies on a subject, and its place as `stream_seq`; None when there is none."""
        raw = await self._streams.last(stream, subject)
        return None if raw is None else json.loads(raw.content) | {"stream_seq": raw.sequence}

    async def missing(self, store: Store, consumer: Consumer, most: int) -> AsyncIterator[list[Delivered]]:
        """Yield, at most `most` at a time, the consumer's messages at positions that the ledger has not recorded."""
        state = await self.state(consumer.stream)
        bounds = [state.first, state.last, state.name, state.created, state.first, state.last]
        for first, last in await store.all(_MISSING, bounds) if state.last >= state.first else ():
            for start in range(first, last + 1, most):
                if found := await self.messages_of(consumer, range(start, min(start + most, last + 1))):
                    yield found
