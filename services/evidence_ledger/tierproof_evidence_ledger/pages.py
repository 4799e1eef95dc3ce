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
    "model": "(digests[1] = %(model)s OR digests[2] = %(model)s OR digests[3] = %(model)s OR digests[4] = %(model)s)",
    "tenant": "tenant = %(tenant)s",
    "safety_class": "safety_class = %(safety_class)s",
}
NO_OTHER_KIND = "kind <> ALL ('{conflict,rejected,advisory,release,act}'::text[])"
IN_SPAN = ("seq >= %(first)s", "seq < %(end)s")
SEVERAL, NEARBY = 2, 1 << 16  # conditions; positions
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
    """Return the columns of the first entries, or of the last, that fit all conditions.

    Conditions that often meet fill a page from the entries nearby. Those that do not might read every entry of one of them: beyond
    `NEARBY` positions their indexes are laid over each other first.
    """
    given = question.model_dump(include=set(CONDITIONS), exclude_none=True)
    values = given | {"limit": limit}
    if len(given) < SEVERAL or span.end - span.first <= NEARBY:
        return _ordered(rows, values, span, columns, newest_first=newest_first)
    if newest_first:
        near, far = Span(first=span.end - NEARBY, end=span.end), Span(first=span.first, end=span.end - NEARBY)
    else:
        near, far = Span(first=span.first, end=span.first + NEARBY), Span(first=span.first + NEARBY, end=span.end)
    found: list[dict[str, Any]] = [*_ordered(rows, values, near, columns, newest_first=newest_first)]
    if len(found) < limit:
        found += _overlaid(rows, values | {"limit": limit - len(found)}, far, columns, newest_first=newest_first)
    return found


def _ordered(
    rows: Rows, values: Mapping[str, Any], span: Span, columns: str, *, newest_first: bool
) -> Sequence[dict[str, Any]]:
    """Read in the log's order until the page is full."""
    tail = _tail(newest_first=newest_first)
    where = " AND ".join([*IN_SPAN, *_conditions(values, without="model")])
    if "model" in values:  # each place of a digest has an index of its own, in the log's order
        parts = (f"(SELECT seq FROM ledger.v_entry WHERE {where} AND {place} = %(model)s {tail})" for place in DIGESTS)  # noqa: S608
        where = f"seq = ANY (ARRAY({' UNION '.join(parts)} {tail}))"
    query = f"SELECT {columns} FROM ledger.v_entry WHERE {where} {tail}"  # noqa: S608 - names above
    return rows.execute(query.encode(), dict(values) | {"first": span.first, "end": span.end}).fetchall()


def _overlaid(
    rows: Rows, values: Mapping[str, Any], span: Span, columns: str, *, newest_first: bool
) -> Sequence[dict[str, Any]]:
    """Find what fits first and order it then: an order that no index has leaves the planner free to combine indexes."""
    where = " AND ".join([*IN_SPAN, *_conditions(values)])
    order = _tail(newest_first=newest_first).replace("BY seq", "BY seq + 0")
    query = f"SELECT {columns} FROM ledger.v_entry WHERE {where} {order}"  # noqa: S608 - names above
    return rows.execute(query.encode(), dict(values) | {"first": span.first, "end": span.end}).fetchall()


def _conditions(values: Mapping[str, Any], without: str = "") -> list[str]:
    plain = (
        values.get("kind") == "event"
    )  # said by what it is not: the planner knows nothing of kinds, and takes = for rare
    conditions = CONDITIONS | {"kind": NO_OTHER_KIND} if plain else CONDITIONS
    return [conditions[name] for name in values if name in conditions and name != without]


def _tail(*, newest_first: bool) -> str:
    return f"ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT %(limit)s"


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
