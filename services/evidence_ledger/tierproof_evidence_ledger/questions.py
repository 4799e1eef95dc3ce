"""Questions to the ledger, over NATS request and reply, answered from the auditor's views.

The forms are those of `tierproof_contracts.questions` and `.audit`. Answers hold what entries hold: commitments, never texts.
Who asks, and what, is an entry before the answer is given; a question that cannot be recorded is not answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError
from tierproof_contracts import audit, subjects
from tierproof_contracts import questions as asked
from tierproof_contracts.errors import explain_validation

from tierproof_evidence_ledger import answers, exports, pages
from tierproof_evidence_ledger.acts import QUERIED, VERIFIED
from tierproof_evidence_ledger.errors import LedgerError, NotInOffice
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.history import history
from tierproof_evidence_ledger.moments import BadQuestion, NoAnswer, NotCovered, Rows
from tierproof_evidence_ledger.proof import Tree
from tierproof_evidence_ledger.readers import Readers

_log = structlog.get_logger()
QUEUE = "evidence-ledger"
FRAME = 4096  # bytes of a message beside the parts of a page

# Appends an act of a type with its data and returns its entry's index; raises LedgerError when this process may not append.
Note = Callable[[str, dict[str, Any]], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A question with who asks it, the entry under which it was recorded (-1: it is not), and the bytes that an answer may have."""

    question: Any
    asker: str
    recorded: int
    room: int


Respond = Callable[[Rows, Asking], asked.Shape]


class Answers:
    """Answers questions from the auditor's views. Each question opens a transaction that can only read.

    `verify` recomputes everything and takes its time; `note` records who asks. `page_bytes` bounds a page, `limit_ms` a query,
    0 for no limit.
    """

    def __init__(
        self,
        dsn: str,
        verify: Callable[[], Awaitable[Report]],
        note: Note,
        *,
        page_bytes: int = 1 << 20,
        limit_ms: int = 0,
    ) -> None:
        self._verify, self._note, self._page_bytes = verify, note, page_bytes
        self._readers = Readers(dsn, limit_ms)
        self._tree = Tree()
        self._known = {form.name: (form, respond) for form, respond in self._table()}

    def _table(self) -> tuple[tuple[type[asked.Question], Respond | None], ...]:
        tree = self._tree
        return (
            (asked.StoryAsked, lambda rows, asking: answers.story(rows, asking.question)),
            (asked.ProofAsked, lambda rows, asking: answers.proof(rows, asking.question, tree)),
            (asked.TasksAsked, lambda rows, asking: answers.tasks(rows, asking.question)),
            (asked.SearchAsked, lambda rows, asking: pages.search(rows, asking.question, asking.room)),
            (asked.DeadAsked, lambda rows, asking: answers.dead(rows, asking.question)),
            (asked.ReviewsAsked, lambda rows, asking: answers.reviews(rows, asking.question)),
            (audit.HistoryAsked, lambda rows, asking: history(rows, asking.question)),
            (audit.ExportEntriesAsked, _exported(exports.entries)),
            (audit.ExportTilesAsked, _exported(partial(exports.tiles, tree=tree))),
            (audit.ExportCheckpointsAsked, _exported(exports.checkpoints)),
            (audit.ExportStampsAsked, _exported(exports.stamps)),
            (asked.VerifyAsked, None),
        )

    async def answer(self, name: str, content: bytes, asker: str, largest: int) -> bytes:
        """Return the reply to a question, of at most `largest` bytes; never raises for a bad one."""
        if name not in self._known:
            return refusal("bad-question", f"no such question; ask {', '.join(sorted(self._known))}")
        form, respond = self._known[name]
        try:
            question = form.model_validate_json(content or b"{}")
            recorded = -1 if _is_free(question) else await self._note(QUERIED, deed(question, asker))
            if respond is None:
                return await self._verified(asker)
            room = min(self._page_bytes, largest - FRAME)
            asking = Asking(question=question, asker=asker, recorded=recorded, room=room)
            reply = await asyncio.to_thread(self._read, respond, asking)
        except ValidationError as error:
            return refusal("bad-question", explain_validation(error))
        except (LedgerError, psycopg.Error) as error:
            return _failed(name, error)
        if len(reply) > largest:
            return refusal("bad-question", "the answer is larger than a message; ask for less, with `limit`")
        return reply

    def _read(self, respond: Respond, asking: Asking) -> bytes:
        try:
            return self._read_once(respond, asking)
        except psycopg.errors.QueryCanceled:
            raise
        except psycopg.OperationalError:  # a connection from before the database was started anew
            return self._read_once(respond, asking)

    def _read_once(self, respond: Respond, asking: Asking) -> bytes:
        with self._readers.reading() as rows:
            return _answered(respond(rows, asking))

    async def _verified(self, asker: str) -> bytes:
        began = time.monotonic()
        report = await self._verify()
        milliseconds = round((time.monotonic() - began) * 1000)
        await self._note(VERIFIED, {"actor": asker, **report.summary(), "seconds_milli": milliseconds})
        problems = tuple(asked.Problem(index=fault.seq, what=fault.what) for fault in report.faults)
        return _answered(
            asked.VerifyReport(
                entries=report.size,
                root=report.root.hex(),
                checkpoints=report.checkpoints,
                seconds_milli=milliseconds,
                problems=problems,
            )
        )

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._readers.close()


def _is_free(question: asked.Question) -> bool:
    """Tell whether a question need not be recorded: proofs, which tell nobody's words, and what goes on with a recorded export."""
    return isinstance(question, asked.ProofAsked) or (
        isinstance(question, audit.ExportPage) and question.export is not None
    )


def deed(question: asked.Question, asker: str) -> dict[str, Any]:
    """Return what the act of asking says."""
    members = question.model_dump(mode="json", exclude_none=True, exclude={"reason"})
    said: dict[str, Any] = {"actor": asker, "question": question.name, "asked": members}
    return said if question.reason is None else said | {"reason": question.reason}


def _exported(page: Callable[..., asked.Shape]) -> Respond:
    def respond(rows: Rows, asking: Asking) -> asked.Shape:
        question: audit.ExportPage = asking.question
        if question.export is None:
            return page(rows, question, asking.recorded, asking.room)
        exports.refuse_other_export(rows, question, asking.asker)
        return page(rows, question, question.export, asking.room)

    return respond


def _answered(found: asked.Shape) -> bytes:
    return b'{"answer":' + found.model_dump_json(exclude_none=True).encode() + b"}"


def _failed(name: str, error: LedgerError | psycopg.Error) -> bytes:
    codes = {BadQuestion: "bad-question", NotCovered: "not-yet", NoAnswer: "not-found"}
    for kind, code in codes.items():
        if isinstance(error, kind):
            return refusal(code, error.diagnosis())
    if isinstance(error, NotInOffice):
        return refusal("unavailable", "no ledger is in office that could record the question; ask again soon")
    _log.warning("question.failed", question=name, reason=type(error).__name__)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return refusal("unavailable", "the answer takes too long; ask for less: a shorter time, or more conditions")
    return refusal("unavailable", "the ledger cannot answer this now; its log says why")


def refusal(code: str, message: str) -> bytes:
    """Return the reply that says why there is no answer."""
    refused = asked.Refused.model_validate({"code": code, "message": message[:500]})
    return b'{"refused":' + refused.model_dump_json().encode() + b"}"


async def serve_questions(client: Client, answerer: Answers) -> None:
    """Answer until cancelled; ledgers on one broker share the work. Answers that the broker would not carry are refused."""
    answering: set[asyncio.Task[None]] = set()

    async def begin(message: Msg) -> None:
        task = asyncio.create_task(respond(message))  # a long question must not hold up the others
        answering.add(task)
        task.add_done_callback(answering.discard)

    async def respond(message: Msg) -> None:
        if not message.reply:
            return  # nobody would hear the answer
        name, asker = message.subject.split(".")[-2:]
        reply = await answerer.answer(name, message.data, asker, client.max_payload)
        await client.publish(message.reply, reply)

    subscription = await client.subscribe(subjects.asked_of_ledger("*", "*"), queue=QUEUE, cb=begin)
    try:
        await asyncio.Event().wait()
    finally:
        if client.is_connected:
            await subscription.unsubscribe()
        answerer.close()
