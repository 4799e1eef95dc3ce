"""What a lost database held, from the entries alone: batches as the recorder made them, without the texts. Pure."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tierproof_evidence_ledger.acts import DEEDS, ROTATED
from tierproof_evidence_ledger.batch import Batch, IngestKey, Outcome
from tierproof_evidence_ledger.books import DISPOSITIONS
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.pens import Pens, covered
from tierproof_evidence_ledger.tree import Tree

ERASED = "ledger.erased.v1"
Said = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Foretold:
    """What must be known of entries before they are put back.

    `deeds` are the events of acts that people did in the database, in order; `erased` tells per tenant when its texts were
    erased last (RFC 3339), and a key that went; `rotations` the data of rotations of the log's key, and `turns` the sizes right after them.
    """

    deeds: list[Said] = field(default_factory=list)
    erased: dict[str, tuple[str, uuid.UUID]] = field(default_factory=dict)
    rotations: list[Said] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)

    def erased_since(self, tenant: str, recorded_at: str) -> uuid.UUID | None:
        """Return a key of the tenant that was erased after an entry was recorded, None when its texts may be read.

        The act's own place in the log says too little: entries that were recorded between deed and act were sealed under a new key.
        """
        done_at, key = self.erased.get(tenant, ("", None))
        return key if done_at >= recorded_at else None


def foretold(first: int, entries: Iterable[bytes]) -> Foretold:
    """Read ahead; raises Corrupted for an entry that is none."""
    found = Foretold()
    for seq, content in enumerate(entries, first):
        entry = said_in(seq, content)
        if entry["kind"] != "act":
            continue
        event = entry["event"]
        if event["type"] == ROTATED:
            found.rotations.append(event["data"])
            found.turns.append(seq + 1)
        if event["type"] in DEEDS:
            found.deeds.append(event)
        if event["type"] == ERASED and event["data"].get("keys"):
            found.erased[event["data"]["tenant"]] = (event["time"], uuid.UUID(event["data"]["keys"][0]))
    return found


def parts(first: int, last: int, most: int, ends: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of batches of at most `most` entries, such that one ends at each of `ends` between first and last."""
    for end in sorted({end for end in ends if first < end < last} | {last}):
        while first < end:
            until = min(first + most, end)
            yield first, until
            first = until


def batch_of(first: int, entries: Sequence[bytes], tree: Tree, pens: Pens) -> tuple[Batch, Tree]:
    """Return the batch that appends entries to a ledger of `first` entries, and the tree after it.

    Positions, outcomes, outbox rows and acts follow from the entries; the checkpoint is signed anew, over the same root.
    Positions of messages that said nothing new have no entry: the streams give them back. Raises Corrupted.
    """
    batch = Batch(first_seq=first, entries=list(entries))
    for seq, content in enumerate(entries, first):
        entry = said_in(seq, content)
        try:
            _learn(batch, seq, entry)
        except (KeyError, TypeError, ValueError):
            raise Corrupted(f"entry {seq} of the mirror does not have an entry's form") from None
    return batch, covered(batch, tree, pens)[0]


def said_in(seq: int, content: bytes) -> dict[str, Any]:
    """Return what an entry says; raises Corrupted."""
    try:
        entry = orjson.loads(content)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict) or "kind" not in entry:
        raise Corrupted(f"entry {seq} of the mirror is no entry")
    return entry


def _learn(batch: Batch, seq: int, entry: Said) -> None:
    kind = entry["kind"]
    if kind in DISPOSITIONS:
        batch.keys.append(_key(seq, entry))
    elif kind == "release":
        data = entry["event"]["data"]
        decision = data.get("decision", {}).get("event_id")
        outcome = Outcome(task_id=data["task_id"], seq=seq, status=data["outcome"]["status"], decision=decision)
        batch.outcomes.append(outcome)
        batch.outbox.append(("release", seq))
    elif kind == "act":
        act_id = uuid.UUID(entry["event"]["id"])
        batch.acts[act_id] = seq
        if entry["event"]["type"] in DEEDS:
            batch.database_acts.append((act_id, seq))
    else:
        raise ValueError(kind)


def _key(seq: int, entry: Said) -> IngestKey:
    disposition = DISPOSITIONS[entry["kind"]]
    return IngestKey(
        stream=(entry["stream"], entry["stream_created"]),
        stream_seq=entry["stream_seq"],
        seq=seq,
        disposition=disposition,
        event_id=entry["event"]["id"] if disposition == "recorded" else None,
    )
