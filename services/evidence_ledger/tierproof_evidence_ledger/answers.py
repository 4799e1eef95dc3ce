"""The answers to questions: queries on the auditor's views, shaped as the contract says."""

import base64
from collections.abc import Mapping
from typing import Any

import psycopg
from tierproof_contracts import questions as asked

from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.proof import proof_of

Rows = psycopg.Connection[dict[str, Any]]
_ENTRY = "seq, kind, recorded_at, entry"
# A task's state: its outcome, else whether an answer waits for a person.
_STATE = """
    coalesce((SELECT o.status FROM ledger.v_outcome o WHERE o.task_id = e.task_id),
             CASE WHEN EXISTS (SELECT 1 FROM ledger.v_entry r WHERE r.task_id = e.task_id AND r.event_type = 'review.requested.v1')
                       AND NOT EXISTS (SELECT 1 FROM ledger.v_entry d WHERE d.task_id = e.task_id AND d.event_type = 'review.decided.v1')
                  THEN 'waiting' ELSE 'open' END)"""


class NoAnswer(LedgerError):
    """A question about something that the ledger does not hold."""


def story(rows: Rows, question: asked.StoryAsked) -> asked.Story:
    """Return every entry of a task, in order, and its state."""
    query = f"SELECT {_ENTRY}, {_STATE} AS state FROM ledger.v_entry e WHERE task_id = %s ORDER BY seq"  # noqa: S608 - names above
    found = rows.execute(query.encode(), [question.task_id]).fetchall()
    if not found:
        raise NoAnswer(f"no entry speaks of task {question.task_id}")
    return asked.Story(task_id=question.task_id, state=found[0]["state"], events=tuple(told(row) for row in found))


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


def proof(rows: Rows, question: asked.ProofAsked) -> asked.Proof:
    """Return the proof file of an entry, or of a task's release, under the newest checkpoint; raises NotCovered until one covers it."""
    if question.index is None and question.task_id is None:
        raise NoAnswer("name a task, or an entry by its index")
    where = "seq = %(index)s"
    if question.index is None:
        where = "seq = (SELECT seq FROM ledger.v_outcome WHERE task_id = %(task_id)s)"
    query = f"SELECT seq, canonical FROM ledger.v_entry WHERE {where}"  # noqa: S608 - conditions above
    row = rows.execute(query.encode(), question.model_dump()).fetchone()
    if row is None:
        raise NoAnswer("no such entry, or the task has no outcome yet")
    with rows.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        text = proof_of(cursor, row["seq"])
    return asked.Proof(index=row["seq"], entry=base64.b64encode(bytes(row["canonical"])).decode(), proof=text)


def tasks(rows: Rows, question: asked.TasksAsked) -> asked.Tasks:
    """Return tasks, newest first."""
    query = f"""
        SELECT * FROM (
            SELECT e.seq AS index, e.task_id, e.tenant, e.entry #>> '{{event,data,kind}}' AS kind, e.safety_class,
                   e.entry ->> 'received_at' AS submitted_at, {_STATE} AS state,
                   (SELECT d.entry #>> '{{event,data,because}}' FROM ledger.v_entry d
                    WHERE d.task_id = e.task_id AND d.event_type = 'task.decided.v1' LIMIT 1) AS detail
            FROM ledger.v_entry e
            WHERE e.event_type = 'task.submitted.v1' AND e.kind = 'event'
              AND (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s) AND (%(before)s::bigint IS NULL OR e.seq < %(before)s)
        ) found
        WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(state)s::text IS NULL OR state = %(state)s)
        ORDER BY index DESC LIMIT %(limit)s"""  # noqa: S608 - the only part that is put in is a constant
    found = rows.execute(query.encode(), question.model_dump()).fetchall()
    return asked.Tasks(
        tasks=tuple(asked.TaskLine.model_validate(row | {"detail": row["detail"] or ""}) for row in found)
    )


def search(rows: Rows, question: asked.SearchAsked) -> asked.Entries:
    """Return entries that fit all given conditions, by position."""
    same = ("event_type", "task_id", "tenant", "actor", "safety_class")
    conditions = [f"{name} = %({name})s" for name in same if getattr(question, name) is not None]
    conditions += ["seq > %(after)s"] if question.after is not None else []
    conditions += ["recorded_at >= %(since)s::timestamptz"] if question.since else []
    conditions += ["recorded_at < %(until)s::timestamptz"] if question.until else []
    where = " AND ".join(conditions) or "true"
    query = f"SELECT {_ENTRY} FROM ledger.v_entry WHERE {where} ORDER BY seq LIMIT %(limit)s"  # noqa: S608 - names above
    return asked.Entries(
        entries=tuple(told(row) for row in rows.execute(query.encode(), question.model_dump()).fetchall())
    )


def dead(rows: Rows, question: asked.DeadAsked) -> asked.DeadLetters:
    """Return dead letters with their reasons, newest first."""
    query = (
        f"SELECT {_ENTRY} FROM ledger.v_entry WHERE event_type = 'dead.lettered.v1' ORDER BY seq DESC LIMIT %(limit)s"  # noqa: S608 - names above
    )
    found = rows.execute(query.encode(), question.model_dump()).fetchall()
    return asked.DeadLetters(letters=tuple(_letter(told(row)) for row in found))


def _letter(event: asked.StoryEvent) -> asked.DeadLetter:
    said, origin = event.data, event.data["origin"]
    return asked.DeadLetter(
        index=event.index,
        service=said["service"],
        reason=said["reason"],
        detail=said["detail"],
        attempts=said["attempts"],
        stream=origin["stream"],
        sequence=origin["sequence"],
        subject=origin["subject"],
        recorded_at=event.recorded_at,
    )


def reviews(rows: Rows, question: asked.ReviewsAsked) -> asked.Reviews:
    """Return reviews that nobody has decided, of tasks without an outcome, oldest first."""
    query = f"""
        SELECT {_ENTRY} FROM ledger.v_entry r
        WHERE r.event_type = 'review.requested.v1' AND r.kind = 'event'
          AND (%(task_id)s::text IS NULL OR r.task_id = %(task_id)s)
          AND NOT EXISTS (SELECT 1 FROM ledger.v_outcome o WHERE o.task_id = r.task_id)
          AND NOT EXISTS (SELECT 1 FROM ledger.v_entry d WHERE d.task_id = r.task_id AND d.event_type = 'review.decided.v1')
        ORDER BY r.seq LIMIT %(limit)s"""  # noqa: S608 - the only part that is put in is a constant
    found = rows.execute(query.encode(), question.model_dump()).fetchall()
    return asked.Reviews(reviews=tuple(_review(told(row)) for row in found))


def _review(event: asked.StoryEvent) -> asked.OpenReview:
    said = event.data
    checks = tuple(report["check"] for report in said["checks"] if report["passed"])
    fields = {name: said[name] for name in ("task_id", "tenant", "kind", "safety_class", "because", "tier", "deadline")}
    extra = {"review_request": event.event_id, "answer_commitment": said["answer"]["commitment"], "checks": checks}
    return asked.OpenReview.model_validate(fields | extra)
