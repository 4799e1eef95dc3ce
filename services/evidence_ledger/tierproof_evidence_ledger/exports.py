"""The pages of an export: what an auditor carries away. Every page of one export stands on the same published checkpoint."""

import base64
from collections.abc import Sequence
from typing import Any

from tierproof_contracts import audit

from tierproof_evidence_ledger.acts import QUERIED, ROTATED
from tierproof_evidence_ledger.moments import BadQuestion, Published, Rows, published_at, published_of, size_at
from tierproof_evidence_ledger.pages import Span, bounded, fitting, spanned
from tierproof_evidence_ledger.proof import Tree, tiles_from

BASE64_OF_A_TILE = 11_100  # bytes of a full tile in a reply
ENTRY = "seq, convert_from(canonical, 'UTF8') AS entry"
ROTATIONS = """SELECT seq, convert_from(canonical, 'UTF8') AS entry FROM ledger.v_entry
               WHERE kind = 'act' AND event_type = %s AND seq >= %s AND seq < %s ORDER BY seq LIMIT %s"""
CHECKPOINTS_AT_ONCE, STAMPS_AT_ONCE = 200, 100


def entries(rows: Rows, question: audit.ExportEntriesAsked, export: int, room: int) -> audit.ExportedEntries:
    """Return a page of canonical entries: those that fit, and what leads from one key of the log to the next, wherever it is.

    Without the latter, who knows the first key alone could not verify a selection. Raises NotCovered, BadQuestion.
    """
    on = _stands_on(rows, question)
    start = 0 if question.after is None else question.after + 1
    span = spanned(rows, question, on.size)
    span = Span(first=max(span.first, start), end=span.end)
    found = _merged(
        fitting(rows, question, span, ENTRY, question.limit + 1),
        rows.execute(ROTATIONS, [ROTATED, start, on.size, question.limit + 1]).fetchall(),
    )[: question.limit + 1]
    kept = bounded(found[: question.limit], room, lambda row: _escaped_size(row["entry"]) + 40)
    return audit.ExportedEntries(
        export=export,
        size=on.size,
        checkpoint=on.note if question.size is None else None,
        entries=tuple(audit.RawEntry(index=row["seq"], entry=row["entry"]) for row in kept),
        more=len(kept) < len(found),
    )


def _merged(*found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries in their order, each once."""
    by_place = {row["seq"]: row for rows in found for row in rows}
    return [by_place[seq] for seq in sorted(by_place)]


def _stands_on(rows: Rows, question: audit.ExportEntriesAsked) -> Published:
    if question.size is not None:
        return published_of(rows, question.size)
    return published_at(rows, None if question.as_of is None else size_at(rows, question.as_of))


def _escaped_size(text: str) -> int:
    """Return at least the bytes of a text in JSON: canonical JSON has no control characters but escaped ones."""
    return len(text.encode()) + text.count('"') + text.count("\\") + 2


def tiles(rows: Rows, question: audit.ExportTilesAsked, export: int, room: int, tree: Tree) -> audit.ExportedTiles:
    """Return tiles from one on, the open ones of the right edge included; raises BadQuestion, Corrupted."""
    published_of(rows, question.size)
    found, after = tiles_from(rows, tree, question.size, (question.level, question.n), max(1, room // BASE64_OF_A_TILE))
    return audit.ExportedTiles(
        export=export,
        tiles=tuple(
            audit.HashTile(level=level, n=n, width=len(hashes) // 32, hashes=base64.b64encode(hashes).decode())
            for level, n, hashes in found
        ),
        next_level=after[0] if after else None,
        next_n=after[1] if after else None,
    )


def checkpoints(
    rows: Rows, question: audit.ExportCheckpointsAsked, export: int, room: int
) -> audit.ExportedCheckpoints:
    """Return published checkpoints with all their signatures."""
    query = (
        """SELECT size, note FROM ledger.v_published_checkpoint WHERE size > %s AND size <= %s ORDER BY size LIMIT %s"""
    )
    found = rows.execute(query, [question.after, question.size, CHECKPOINTS_AT_ONCE + 1]).fetchall()
    kept = bounded(found[:CHECKPOINTS_AT_ONCE], room, lambda row: len(row["note"]) + 100)
    return audit.ExportedCheckpoints(
        export=export, checkpoints=tuple(audit.CheckpointNote(**row) for row in kept), more=len(kept) < len(found)
    )


def stamps(rows: Rows, question: audit.ExportStampsAsked, export: int, room: int) -> audit.ExportedStamps:
    """Return time stamps of checkpoints."""
    query = """SELECT size, reply FROM ledger.v_time_stamp WHERE size > %s AND size <= %s ORDER BY size LIMIT %s"""
    found = rows.execute(query, [question.after, question.size, STAMPS_AT_ONCE + 1]).fetchall()
    kept = bounded(found[:STAMPS_AT_ONCE], room, lambda row: len(row["reply"]) * 4 // 3 + 100)
    told = tuple(
        audit.TimeStamp(size=row["size"], reply=base64.b64encode(bytes(row["reply"])).decode()) for row in kept
    )
    return audit.ExportedStamps(export=export, stamps=told, more=len(kept) < len(found))


def refuse_other_export(rows: Rows, question: audit.ExportPage, asker: str) -> None:
    """Raise BadQuestion unless the page belongs to an export that the same user began, with the same conditions."""
    query = "SELECT entry FROM ledger.v_entry WHERE seq = %s AND kind = 'act' AND event_type = %s"
    row = rows.execute(query, [question.export, QUERIED]).fetchone()
    began = row["entry"]["event"]["data"] if row else {}
    wrong = began.get("actor") != asker or not str(began.get("question")).startswith("export-")
    if isinstance(question, audit.ExportEntriesAsked) and not wrong:
        first = audit.ExportEntriesAsked.model_validate(began["asked"] | {"export": None})
        wrong = began["question"] != question.name or first.filters() != question.filters()
    if wrong:
        raise BadQuestion("export: no export of yours with these conditions was recorded there; begin without it")
