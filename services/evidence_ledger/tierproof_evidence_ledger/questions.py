"""Questions to the ledger, over NATS request and reply, answered with the auditor's rights.

A question is a JSON object on `tierproof.ask.ledger.v1.<name>`; the reply is `{"ok": true, "answer": ...}` or
`{"ok": false, "error": "one sentence"}`. Answers hold what entries hold: commitments, never texts.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from psycopg.rows import dict_row
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tierproof_contracts import subjects
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.ids import EventId, TaskId, Tenant
from tierproof_proofs.note import VerifierKey

from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.proof import proof_of
from tierproof_evidence_ledger.verify import verify

_log = structlog.get_logger()
_LIST = "seq, kind, event_type, event_id, task_id, tenant, actor, safety_class, occurred_at, recorded_at"
QUEUE = "evidence-ledger"
Rows = psycopg.Connection[dict[str, Any]]


class NoAnswer(LedgerError):
    """A question that cannot be answered as it was put."""


class _Question(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AboutTask(_Question):
    """`story`, `explain`: one task."""

    task_id: TaskId


class AboutEntry(_Question):
    """`entry`, `proof`: an entry by position, by event, or the release of a task."""

    seq: int | None = Field(default=None, ge=0)
    event_id: EventId | None = None
    task_id: TaskId | None = None


class AboutTasks(_Question):
    """`tasks`: newest first; `status` open, answered, abstained or failed; `before` pages on by `seq`."""

    tenant: Tenant | None = None
    status: str | None = Field(default=None, pattern="^(open|answered|abstained|failed)$")
    limit: int = Field(default=50, ge=1, le=500)
    before: int | None = Field(default=None, ge=0)


class Search(_Question):
    """`search`, `dead`: entries by their columns, newest first; times are RFC 3339."""

    kind: str | None = None
    event_type: str | None = None
    task_id: TaskId | None = None
    tenant: Tenant | None = None
    actor: str | None = None
    safety_class: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = Field(default=50, ge=1, le=500)
    before: int | None = Field(default=None, ge=0)


class Nothing(_Question):
    """`verify`, `reviews`: no arguments."""


class Answers:
    """Answers questions from the auditor's views. Each question opens a transaction that can only read."""

    def __init__(self, dsn: str, log: VerifierKey) -> None:
        self._dsn = dsn
        self._log = log
        self._known: dict[str, tuple[type[_Question], Callable[[Any, Any], Any]]] = {
            "story": (AboutTask, story),
            "explain": (AboutTask, explain),
            "entry": (AboutEntry, entry),
            "proof": (AboutEntry, proof),
            "tasks": (AboutTasks, tasks),
            "search": (Search, search),
            "dead": (Search, dead),
            "reviews": (Nothing, reviews),
            "verify": (Nothing, self._verify),
        }

    def answer(self, name: str, content: bytes) -> bytes:
        """Return the reply to a question; never raises for a bad one."""
        try:
            form, respond = self._known[name]
            question = form.model_validate_json(content or b"{}")
            with psycopg.connect(self._dsn, row_factory=dict_row) as rows:
                rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                found = respond(rows, question)
        except KeyError:
            return _reply(error=f"no such question; ask {', '.join(sorted(self._known))}")
        except ValidationError as error:
            return _reply(error=explain_validation(error))
        except LedgerError as error:
            return _reply(error=error.diagnosis())
        except psycopg.Error as error:
            _log.warning("question.failed", question=name, reason=type(error).__name__)
            return _reply(error="the ledger's database does not answer now")
        return _reply(answer=found)

    def _verify(self, _rows: Rows, _question: Nothing) -> dict[str, Any]:
        report = verify(self._dsn, self._log)
        return {
            "size": report.size,
            "root": report.root.hex(),
            "checkpoints": report.checkpoints,
            "gaps": report.gaps,
            "first_bad": report.first_bad,
            "faults": [{"seq": fault.seq, "what": fault.what} for fault in report.faults],
        }


def story(rows: Rows, question: AboutTask) -> dict[str, Any]:
    """Return a task's entries in order, with positions, and its outcome."""
    query = f"SELECT {_LIST}, entry FROM ledger.v_entry WHERE task_id = %s ORDER BY seq"  # noqa: S608 - names above
    found = rows.execute(query.encode(), [question.task_id]).fetchall()
    if not found:
        raise NoAnswer(f"no entry speaks of task {question.task_id}")
    return {"task_id": question.task_id, "entries": found, "outcome": _outcome(rows, question.task_id)}


def explain(rows: Rows, question: AboutTask) -> dict[str, Any]:
    """Return why a task ended as it did: its attempts with the rule that chose each, and the reason of its outcome."""
    told = story(rows, question)
    events = {row["event_type"]: row["entry"]["event"]["data"] for row in told["entries"] if "event" in row["entry"]}
    decision, released = events.get("task.decided.v1", {}), events.get("result.released.v1", {})
    slips = [data["slip"] for data in events.values() if data.get("slip")]
    longest: dict[str, Any] = max(slips, key=lambda slip: len(slip.get("attempts", ())), default={})
    return {
        "task_id": question.task_id,
        "pinned": {name: (events.get("task.accepted.v1") or {}).get(name) for name in ("policy", "fleet", "reviewers")},
        "attempts": longest.get("attempts", []),
        "decided": decision.get("because"),
        "outcome": released.get("outcome"),
        "released_because": released.get("because"),
    }


def entry(rows: Rows, question: AboutEntry) -> dict[str, Any]:
    """Return one entry: columns, content, and its canonical bytes as text."""
    row = _entry_row(rows, question)
    return row | {"canonical": bytes(row["canonical"]).decode()}


def proof(rows: Rows, question: AboutEntry) -> dict[str, Any]:
    """Return the proof file of an entry under the newest checkpoint, with the entry's canonical bytes as text."""
    row = _entry_row(rows, question)
    with rows.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        text = proof_of(cursor, row["seq"])
    return {"seq": row["seq"], "proof": text, "entry": bytes(row["canonical"]).decode()}


def tasks(rows: Rows, question: AboutTasks) -> list[dict[str, Any]]:
    """Return tasks, newest first, each with its outcome's status, `open` while it has none."""
    query = """
        SELECT e.seq, e.task_id, e.tenant, e.safety_class, e.entry #>> '{event,data,kind}' AS task_kind, e.recorded_at,
               coalesce(o.status, 'open') AS status, o.seq AS released_at
        FROM ledger.v_entry e LEFT JOIN ledger.v_outcome o USING (task_id)
        WHERE e.event_type = 'task.submitted.v1' AND e.kind = 'event'
          AND (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s) AND (%(before)s::bigint IS NULL OR e.seq < %(before)s)
          AND (%(status)s::text IS NULL OR coalesce(o.status, 'open') = %(status)s)
        ORDER BY e.seq DESC LIMIT %(limit)s"""
    return list(rows.execute(query.encode(), question.model_dump()).fetchall())


def search(rows: Rows, question: Search) -> list[dict[str, Any]]:
    """Return entries that fit all given columns, newest first."""
    same = ("kind", "event_type", "task_id", "tenant", "actor", "safety_class")
    conditions = [f"{name} = %({name})s" for name in same if getattr(question, name) is not None]
    conditions += ["seq < %(before)s"] if question.before is not None else []
    conditions += ["recorded_at >= %(since)s"] if question.since else []
    conditions += ["recorded_at < %(until)s"] if question.until else []
    where = " AND ".join(conditions) or "true"
    query = f"SELECT {_LIST} FROM ledger.v_entry WHERE {where} ORDER BY seq DESC LIMIT %(limit)s"  # noqa: S608 - names above
    return list(rows.execute(query.encode(), question.model_dump()).fetchall())


def dead(rows: Rows, question: Search) -> list[dict[str, Any]]:
    """Return dead letters with their reasons, newest first."""
    query = """SELECT seq, recorded_at, entry #> '{event,data}' AS letter FROM ledger.v_entry
               WHERE event_type = 'dead.lettered.v1' AND (%(before)s::bigint IS NULL OR seq < %(before)s)
               ORDER BY seq DESC LIMIT %(limit)s"""
    return list(rows.execute(query.encode(), question.model_dump()).fetchall())


def reviews(rows: Rows, _question: Nothing) -> list[dict[str, Any]]:
    """Return reviews that nobody has decided, of tasks without an outcome, oldest first."""
    query = """
        SELECT r.seq, r.event_id, r.task_id, r.tenant, r.safety_class, r.entry #>> '{event,data,kind}' AS task_kind,
               r.entry #>> '{event,data,because}' AS because, r.entry #>> '{event,data,deadline}' AS deadline
        FROM ledger.v_entry r
        WHERE r.event_type = 'review.requested.v1' AND r.kind = 'event'
          AND NOT EXISTS (SELECT 1 FROM ledger.v_outcome o WHERE o.task_id = r.task_id)
          AND NOT EXISTS (SELECT 1 FROM ledger.v_entry d WHERE d.task_id = r.task_id AND d.event_type = 'review.decided.v1')
        ORDER BY r.seq LIMIT 500"""
    return list(rows.execute(query.encode()).fetchall())


def _outcome(rows: Rows, task_id: str) -> dict[str, Any] | None:
    query = "SELECT seq, status, decision FROM ledger.v_outcome WHERE task_id = %s"
    return rows.execute(query, [task_id]).fetchone()


def _entry_row(rows: Rows, question: AboutEntry) -> dict[str, Any]:
    if question.seq is not None:
        where = "seq = %(seq)s"
    elif question.event_id is not None:
        where = "event_id = %(event_id)s AND kind IN ('event', 'release')"
    elif question.task_id is not None:
        where = "seq = (SELECT seq FROM ledger.v_outcome WHERE task_id = %(task_id)s)"
    else:
        raise NoAnswer("name an entry by seq, event_id or task_id")
    query = f"SELECT {_LIST}, entry, canonical FROM ledger.v_entry WHERE {where}"  # noqa: S608 - conditions above
    row = rows.execute(query.encode(), question.model_dump()).fetchone()
    if row is None:
        raise NoAnswer("no such entry, or the task has no outcome yet")
    return row


def _reply(*, answer: object = None, error: str | None = None) -> bytes:
    reply: Mapping[str, Any] = {"ok": True, "answer": answer} if error is None else {"ok": False, "error": error}
    return orjson.dumps(reply)


async def serve_questions(client: Client, answers: Answers) -> None:
    """Answer until cancelled; ledgers on one broker share the work. Answers that the broker would not carry are refused."""

    async def respond(message: Msg) -> None:
        name = message.subject.rsplit(".", 1)[1]
        reply = await asyncio.to_thread(answers.answer, name, message.data)
        if len(reply) > client.max_payload:
            reply = _reply(error="the answer is larger than a message; ask for less, with `limit`")
        await client.publish(message.reply, reply)

    subscription = await client.subscribe(subjects.asked_of_ledger("*"), queue=QUEUE, cb=respond)
    try:
        await asyncio.Event().wait()
    finally:
        if client.is_connected:
            await subscription.unsubscribe()
