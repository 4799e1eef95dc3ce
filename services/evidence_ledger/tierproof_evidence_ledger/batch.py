"""What one transaction appends to the ledger."""

from dataclasses import dataclass, field

from tierproof_evidence_ledger.sealed import SealedText, WrappedKey
from tierproof_evidence_ledger.tree import Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestKey:
    """What became of one position of a stream; `seq` is the entry that holds it, or held it first."""

    stream: str
    stream_seq: int
    seq: int
    disposition: str
    event_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A task's one outcome, at its release entry."""

    task_id: str
    seq: int
    status: str
    decision: str | None


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one transaction appends. `entries` are (seq, canonical bytes); the checkpoint is (size, note, leaf hashes it adds)."""

    entries: list[tuple[int, bytes]] = field(default_factory=list)
    keys: list[IngestKey] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    checkpoint: tuple[int, str, bytes] | None = None
    texts: list[SealedText] = field(default_factory=list)
    text_keys: list[WrappedKey] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    outbox: list[tuple[str, int]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.entries or self.keys or self.outbox)
