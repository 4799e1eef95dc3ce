"""What one transaction appends to the ledger."""

import uuid
from dataclasses import dataclass, field

from tierproof_evidence_ledger.sealed import SealedText, WrappedKey
from tierproof_evidence_ledger.tree import Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestKey:
    """What became of one position of a stream; `seq` is the entry that holds it, or held it first."""

    stream: tuple[str, str]
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
    """What one transaction appends. `entries` are canonical bytes from `first_seq` on; the checkpoint is (size, note, leaf hashes it adds).

    `acts` are the seqs of all acts by their id, `database_acts` those that lay in the database.
    """

    first_seq: int = 0
    entries: list[bytes] = field(default_factory=list)
    keys: list[IngestKey] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    checkpoint: tuple[int, str, bytes] | None = None
    texts: list[SealedText] = field(default_factory=list)
    text_keys: list[WrappedKey] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    outbox: list[tuple[str, int]] = field(default_factory=list)
    acts: dict[uuid.UUID, int] = field(default_factory=dict)
    database_acts: list[tuple[uuid.UUID, int]] = field(default_factory=list)

    @property
    def next_seq(self) -> int:
        """The seq of the next entry."""
        return self.first_seq + len(self.entries)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.entries or self.keys or self.outbox)
