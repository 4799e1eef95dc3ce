"""A log put straight into the tables, as a sequencer would leave it: what tests and load generators ask questions about."""

from collections.abc import Sequence
from typing import Any

import psycopg
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.text import sealed
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.note import NoteSigner

from tierproof_evidence_ledger.copying import entry_rows
from tierproof_evidence_ledger.tree import Tree


class Stock:
    """A growing log in a migrated database, written as its superuser."""

    def __init__(self, connection: psycopg.Connection[Any], signer: NoteSigner) -> None:
        self._connection, self._signer = connection, signer
        self._tree = Tree(Frontier())
        self.open_from = 0

    @property
    def size(self) -> int:
        """The number of entries."""
        return self._tree.size

    def append(self, entries: Sequence[bytes], *, publish: bool = True) -> int:
        """Append entries as one batch and return the first one's index; its checkpoint is published unless told otherwise."""
        first = self.size
        leaves = [leaf_hash(entry) for entry in entries]
        self._tree, tiles = self._tree.grown(leaves)
        note = self.note()
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT ledger.make_room(%s)", [self.size])
            with cursor.copy("COPY ledger.entry (seq, canonical) FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(entry_rows(first, entries))
            rows = [(tile.level, tile.n, tile.hashes) for tile in tiles]
            cursor.executemany("INSERT INTO ledger.tile (level, n, hashes) VALUES (%s, %s, %s)", rows)
            cursor.execute("INSERT INTO ledger.checkpoint VALUES (%s, %s, %s)", [self.size, note, b"".join(leaves)])
        if publish:
            self.publish()
        self._connection.commit()
        return first

    def note(self) -> str:
        """Return the log's checkpoint of now."""
        root = self._tree.frontier.root()
        return sign_checkpoint(Checkpoint(origin=self._signer.name, size=self.size, root=root), self._signer)

    def publish(self) -> None:
        """Publish the newest checkpoint."""
        query = "INSERT INTO ledger.published_checkpoint (size, note, open_from) VALUES (%s, %s, %s)"
        self._connection.execute(query, [self.size, self.note(), self.open_from])


def entry_about(event: Envelope[Any], recorded_at: str, number: int, kind: str = "event") -> bytes:
    """Return the entry of an event, texts sealed."""
    said = sealed(event.model_dump(mode="json", exclude_none=True))
    return canonical_json(
        {
            "entry": 1,
            "kind": kind,
            "recorded_at": recorded_at,
            "received_at": recorded_at,
            "stream": "TASK",
            "stream_created": "2026-11-01T00:00:00Z",
            "stream_seq": number + 1,
            "subject": event.data.subject(),
            "event": said,
        }
    )
