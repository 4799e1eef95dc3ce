"""Pages of entries that fit an auditor's conditions: by position, in either direction, on a size that does not move."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_contracts import questions as asked

from tierproof_evidence_ledger.moments import Rows, first_since, size_at

CONDITIONS = {
    "event_type": "event_type = %(event_type)s",
    "kind": "kind = %(kind)s",
    "actor": "actor = %(actor)s",
    "task_id": "task_id = %(task_id)s",
    "tenant": "tenant = %(tenant)s",
    "safety_class": "safety_class = %(safety_class)s",
}
DIGESTS = ("digests[1]", "digests[2]", "digests[3]", "digests[4]")
TOLD = "seq, kind, recorded_at, entry"
BESIDE = 400  # bytes that an answer holds beside an entry's own: member names, positions, times


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The positions that a page may hold: first <= seq < end."""

    first: int
    end: int


def search(rows: Rows, question: asked.SearchAsked, room: int) -> asked.Entries:
    """Return a page of at most `room` bytes, one entry at least; raises BadQuestion."""
    size = size_at(rows, question.as_of)
    span = spanned(rows, question, size)
    if question.after is not None and question.newest_first:
        span = Span(first=span.first, end=min(span.end, question.after))
    elif question.after is not None:
        span = Span(first=max(span.first, question.after + 1), end=span.end)
    found = fitting(
        rows,
        question,
        span,
        f"{TOLD}, octet_length(canonical) AS bytes",
        question.limit + 1,
        newest_first=question.newest_first,
    )
    kept = bounded(found[: question.limit], room, lambda row: int(row["bytes"]) + BESIDE)
    return asked.Entries(entries=tuple(told(row) for row in kept), size=size, more=len(kept) < len(found))


def spanned(rows: Rows, question: asked.Filtered, size: int) -> Span:
    """Return the positions between the question's times, of a log of `size` entries."""
    first = first_since(rows, question.since, size) if question.since else 0
    end = first_since(rows, question.until, size) if question.until else size
    return Span(first=first, end=min(end, size))


def fitting(
    rows: Rows, question: asked.Filtered, span: Span, columns: str, limit: int, *, newest_first: bool = False
) -> Sequence[dict[str, Any]]:
    """Return the columns of the first entries, or of the last, that fit all conditions."""
    given = question.model_dump(include=set(CONDITIONS), exclude_none=True)
    order = "DESC" if newest_first else "ASC"
    conditions = ["seq >= %(first)s", "seq < %(end)s", *(CONDITIONS[name] for name in given)]
    tail = f"ORDER BY seq {order} LIMIT %(limit)s"
    where = " AND ".join(conditions)
    if question.model is not None:  # each place of a digest has an index of its own, in the log's order
        parts = (f"(SELECT seq FROM ledger.v_entry WHERE {where} AND {place} = %(model)s {tail})" for place in DIGESTS)  # noqa: S608
        where = f"seq = ANY (ARRAY({' UNION '.join(parts)} {tail}))"
    query = f"SELECT {columns} FROM ledger.v_entry WHERE {where} {tail}"  # noqa: S608 - names above
    values = given | {"first": span.first, "end": span.end, "limit": limit, "model": question.model}
    return rows.execute(query.encode(), values).fetchall()


def bounded(
    rows: Sequence[dict[str, Any]], room: int, size_of: Callable[[dict[str, Any]], int]
) -> Sequence[dict[str, Any]]:
    """Return the first rows that together have at most `room` bytes, and at least one."""
    used = 0
    for number, row in enumerate(rows):
        used += size_of(row)
        if used > room and number:
            return rows[:number]
    return rows


def told(row: Mapping[str, Any]) -> asked.StoryEvent:
    """Return an entry as a story tells it."""
    entry = row["entry"]
    event = entry.get("event") or {}
    return asked.StoryEvent(
        index=row["seq"],
        kind=row["kind"],
        event_id=event.get("id"),
        type=event.get("type"),
        source=event.get("source"),
        causation_id=event.get("causationid"),
        time=event.get("time"),
        recorded_at=row["recorded_at"].isoformat(),
        stream=entry.get("stream"),
        stream_seq=entry.get("stream_seq"),
        data=event.get("data") or entry.get("advisory") or {},
    )
