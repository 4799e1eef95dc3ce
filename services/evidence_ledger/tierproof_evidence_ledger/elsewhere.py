"""What others know of the log: notes that lie in the mirror and in the stream of checkpoints, and where results were published."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from tierproof_bus.publish import id_of_subject
from tierproof_contracts import subjects, topology
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import LogKey, open_checkpoint, origin_of

from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.stream_positions import AT_ONCE, StreamPositions

EVIDENCE, RESULT = (
    topology.stream_of(subject) for subject in (subjects.evidence_checkpointed(0), subjects.every("result.released.v1"))
)


class DataLoss(Corrupted):
    """Somebody knows more of this log than the database and its mirror hold. Nothing may be appended before that is found."""


class Rewritten(Corrupted):
    """Somebody has a checkpoint that this log has signed and that these entries do not give."""


def opened(note: str, keys: Sequence[LogKey], whose: str) -> Checkpoint:
    """Return what a note of this log says; raises Rewritten when the log has not signed it."""
    try:
        return open_checkpoint(note.encode(), keys)
    except ProofError as error:
        raise Rewritten(f"the checkpoint in {whose} cannot be trusted: {error.diagnosis()}") from None


async def announced(streams: StreamPositions, keys: Sequence[LogKey], since: int) -> dict[int, str]:
    """Return the notes of more than `since` entries that were announced to consumers, by size; raises Rewritten."""
    state, notes = await streams.state(EVIDENCE), dict[int, str]()
    for last in range(state.last, state.first - 1, -AT_ONCE):
        places = range(max(state.first, last - AT_ONCE + 1), last + 1)
        said = [orjson.loads(message.content)["data"] for message in await streams.messages(EVIDENCE, places)]
        ours = [data for data in said if data["log"] == origin_of(keys)]
        notes.update((opened(data["note"], keys, EVIDENCE).size, data["note"]) for data in ours if data["size"] > since)
        if any(data["size"] <= since for data in ours):
            break
    return notes


async def newest_result(streams: StreamPositions, origin: str) -> int:
    """Return the size of the log that the newest published result names, 0 when there is none of this log."""
    state = await streams.state(RESULT)
    for message in reversed(
        await streams.messages(RESULT, range(max(state.first, state.last - AT_ONCE), state.last + 1))
    ):
        place = orjson.loads(message.content)["data"]["ledger"]
        if place["log"] == origin:
            return int(place["size"])
    return 0


async def reconciled(store: Store, streams: StreamPositions) -> tuple[int, list[str]]:
    """Note outbox rows as published whose event lies in its stream; return how many, and subjects that hold another event."""
    found: list[tuple[str, int, int]] = []
    taken: list[str] = []
    rows = await store.unpublished()
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        entries = await store.entries_at([ref for kind, ref in part if kind == "release"])
        named = [_identity(kind, ref, entries) for kind, ref in part]
        asked = (streams.last_on(topology.stream_of(subject), subject) for subject, _ in named)
        for row, (subject, event_id), lying in zip(part, named, await asyncio.gather(*asked), strict=True):
            if lying is not None and lying["id"] == event_id:
                found.append((*row, lying["stream_seq"]))
            elif lying is not None:
                taken.append(subject)
    if found:
        await store.published(found)
    return len(found), taken


def _identity(kind: str, ref: int, entries: Mapping[int, bytes]) -> tuple[str, str]:
    """Return subject and id of the event that an outbox row brings out."""
    if kind == "checkpoint":
        subject = subjects.evidence_checkpointed(ref)
        return subject, id_of_subject(subject)
    event: Mapping[str, Any] = orjson.loads(entries[ref])["event"]
    return subjects.result_released(event["data"]["tenant"], event["data"]["task_id"]), event["id"]
