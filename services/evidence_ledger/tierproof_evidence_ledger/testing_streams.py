"""A broker's positions without a broker: what tests feed a recorder with."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tierproof_contracts import topology
from tierproof_contracts.envelope import Envelope

from tierproof_evidence_ledger.canonical import Delivered

EPOCH = "2026-11-01T00:00:00Z"
NOON = "2026-11-01T12:00:00Z"


@dataclass(slots=True)
class Streams:
    """Gives messages their stream positions, as a broker would."""

    created: str = EPOCH
    sequences: dict[str, int] = field(default_factory=dict)

    def deliver(self, events: Iterable[Envelope[Any]], stored_at: str = NOON) -> list[Delivered]:
        """Return the messages of events."""
        return [self.message(event.data.subject(), event.to_bytes(), stored_at) for event in events]

    def message(self, subject: str, content: bytes, stored_at: str = NOON) -> Delivered:
        """Return any message."""
        stream = topology.stream_of(subject)
        self.sequences[stream] = self.sequences.get(stream, 0) + 1
        return Delivered(
            stream=stream,
            created=self.created,
            sequence=self.sequences[stream],
            subject=subject,
            stored_at=stored_at,
            content=content,
        )
