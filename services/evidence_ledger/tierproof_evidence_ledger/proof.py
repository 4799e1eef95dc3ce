"""`.tlog-proof` files from the ledger's tiles, read with the auditor's rights."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.merkle import inclusion_proof, root_of
from tierproof_proofs.note import parse_note
from tierproof_proofs.tlog_proof import TlogProof

from tierproof_evidence_ledger.errors import Corrupted, LedgerError
from tierproof_evidence_ledger.tree import TILE_WIDTH, hashes_of, node_reader


class NotCovered(LedgerError):
    """An entry that does not exist, or that no checkpoint covers yet."""


class Rows(Protocol):
    """A connection as the ledger's readers use it."""

    def execute(self, query: Any, params: Sequence[Any] | None = None) -> Any:  # noqa: ANN401 - psycopg's cursor
        """Run a query."""


def proof_of(rows: Rows, seq: int) -> str:
    """Return the proof file of an entry under the newest checkpoint; raises NotCovered or Corrupted."""
    found = rows.execute("SELECT note FROM ledger.v_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if found is None:
        raise NotCovered("the ledger has no checkpoint yet")
    note = str(found[0])
    size = parse_checkpoint(parse_note(note.encode()).text).size
    if not 0 <= seq < size:
        raise NotCovered(f"entry {seq} is not in the checkpointed tree of {size}")
    hashes = inclusion_proof(seq, size, node_reader(stored_hashes(rows)))
    return str(TlogProof(index=seq, hashes=tuple(hashes), checkpoint=note))


def stored_hashes(rows: Rows) -> Callable[[int, int, int], list[bytes]]:
    """Return a reader of `count` hashes of a tile level from `first` on, all within one tile: from it, or from what it will hold."""

    def tile(level: int, n: int) -> list[bytes] | None:
        row = rows.execute("SELECT hashes FROM ledger.v_tile WHERE level = %s AND n = %s", [level, n]).fetchone()
        return hashes_of(bytes(row[0])) if row else None

    def leaves(first: int, count: int) -> list[bytes]:
        query = "SELECT leaf_hash FROM ledger.v_entry WHERE seq >= %s AND seq < %s ORDER BY seq"
        found = [bytes(row[0]) for row in rows.execute(query, [first, first + count]).fetchall()]
        if len(found) != count:
            raise Corrupted(f"entries between {first} and {first + count} are missing: run `verify`")
        return found

    def hashes_at(level: int, first: int, count: int) -> list[bytes]:
        n, within = divmod(first, TILE_WIDTH)
        full = tile(level, n)
        if full is not None:
            return full[within : within + count]
        if level == 0:
            return leaves(first, count)
        return [root_of(hashes_at(level - 1, place * TILE_WIDTH, TILE_WIDTH)) for place in range(first, first + count)]

    return hashes_at
