"""The answers to questions: queries on the auditor's views, shaped as the contract says."""

import base64

from tierproof_contracts import questions as asked

from tierproof_evidence_ledger.moments import NoAnswer, Rows, size_at
from tierproof_evidence_ledger.pages import TOLD, told
from tierproof_evidence_ledger.proof import Tree, proof_of

# A task's state at a size: its outcome, else whether an answer waits for a person. No EXISTS: it would be hashed over the whole log.
_STATE = """
    coalesce((SELECT o.status FROM ledger.v_outcome o WHERE o.task_id = e.task_id AND o.seq < %(size)s),
             CASE WHEN (SELECT r.seq FROM ledger.v_entry r WHERE r.task_id = e.task_id
                        AND r.event_type = 'review.requested.v1' AND r.seq < %(size)s ORDER BY r.seq LIMIT 1) IS NOT NULL
                   AND (SELECT d.seq FROM ledger.v_entry d WHERE d.task_id = e.task_id
                        AND d.event_type = 'review.decided.v1' AND d.seq < %(size)s ORDER BY d.seq LIMIT 1) IS NULL
                  THEN 'waiting' ELSE 'open' END)"""
_STATE_OF_ONE = f"SELECT {_STATE} AS state FROM (SELECT %(task_id)s::text AS task_id) e"  # noqa: S608 - a constant
# An event, and no other words under its id. Of an event's type there is nothing else; and that few are conflicts the planner assumes.
_SAID = "kind <> 'conflict'"
# Before this position no entry concerns a task that is still open.
_OPEN_FROM = "coalesce((SELECT open_from FROM ledger.v_published_checkpoint ORDER BY size DESC LIMIT 1), 0)"


def story(rows: Rows, question: asked.StoryAsked) -> asked.Story:
    """Return every entry of a task, in order, and its state; raises NoAnswer, BadQuestion."""
    values = {"task_id": question.task_id, "size": size_at(rows, question.as_of)}
    query = f"SELECT {TOLD} FROM ledger.v_entry WHERE task_id = %(task_id)s AND seq < %(size)s ORDER BY seq"  # noqa: S608 - names above
    found = rows.execute(query.encode(), values).fetchall()
    if not found:
        raise NoAnswer(f"no entry speaks of task {question.task_id}")
    state = rows.execute(_STATE_OF_ONE.encode(), values).fetchone()
    return asked.Story(
        task_id=question.task_id, state=state["state"] if state else "open", events=tuple(told(row) for row in found)
    )


def proof(rows: Rows, question: asked.ProofAsked, tree: Tree) -> asked.Proof:
    """Return the proof file of an entry, or of a task's release, under the newest published checkpoint; raises NotCovered, NoAnswer."""
    index = question.index
    if index is None and question.task_id is None:
        raise NoAnswer("name a task, or an entry by its index")
    if index is None:
        query = "SELECT seq FROM ledger.v_outcome WHERE task_id = %s"
        outcome = rows.execute(query, [question.task_id], prepare=True).fetchone()
        index = -1 if outcome is None else int(outcome["seq"])
    row = rows.execute("SELECT canonical FROM ledger.v_entry WHERE seq = %s", [index], prepare=True).fetchone()
    if row is None:
        raise NoAnswer("no such entry, or the task has no outcome yet")
    content = bytes(row["canonical"])
    return asked.Proof(
        index=index, entry=base64.b64encode(content).decode(), proof=proof_of(rows, index, content, tree)
    )


def tasks(rows: Rows, question: asked.TasksAsked) -> asked.Tasks:
    """Return tasks, newest first."""
    ended = "EXISTS (SELECT 1 FROM ledger.v_outcome o WHERE o.task_id = e.task_id AND o.status = %(state)s)"
    still = f"e.seq >= {_OPEN_FROM}"
    reviewed = f"(SELECT task_id FROM ledger.v_entry WHERE event_type = 'review.requested.v1' AND seq >= {_OPEN_FROM})"  # noqa: S608
    of_state = {None: "true", "open": still, "waiting": f"{still} AND e.task_id IN {reviewed}"}
    query = f"""
        SELECT * FROM (
            SELECT e.seq AS index, e.task_id, e.tenant, e.entry #>> '{{event,data,kind}}' AS kind, e.safety_class,
                   e.entry ->> 'received_at' AS submitted_at, {_STATE} AS state,
                   (SELECT d.entry #>> '{{event,data,because}}' FROM ledger.v_entry d
                    WHERE d.task_id = e.task_id AND d.event_type = 'task.decided.v1' ORDER BY d.seq LIMIT 1) AS detail
            FROM ledger.v_entry e
            WHERE e.event_type = 'task.submitted.v1' AND {_SAID} AND {of_state.get(question.state, ended)}
              AND (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s) AND (%(before)s::bigint IS NULL OR e.seq < %(before)s)
        ) found
        WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(state)s::text IS NULL OR state = %(state)s)
        ORDER BY index DESC LIMIT %(limit)s"""  # noqa: S608 - the parts that are put in are constants
    found = rows.execute(query.encode(), question.model_dump() | {"size": size_at(rows, None)}).fetchall()
    return asked.Tasks(
        tasks=tuple(asked.TaskLine.model_validate(row | {"detail": row["detail"] or ""}) for row in found)
    )


def dead(rows: Rows, question: asked.DeadAsked) -> asked.DeadLetters:
    """Return dead letters with their reasons, newest first."""
    query = f"SELECT {TOLD} FROM ledger.v_entry WHERE event_type = 'dead.lettered.v1' ORDER BY seq DESC LIMIT %(limit)s"  # noqa: S608 - names above
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
        SELECT {TOLD} FROM ledger.v_entry r
        WHERE r.event_type = 'review.requested.v1' AND {_SAID} AND r.seq >= {_OPEN_FROM}
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
