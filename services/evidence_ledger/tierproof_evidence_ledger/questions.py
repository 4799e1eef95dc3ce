"""Questions to the ledger, over NATS request and reply, answered from the auditor's views.

The forms are those of `tierproof_contracts.questions`. Answers hold what entries hold: commitments, never texts.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from psycopg.rows import dict_row
from pydantic import ValidationError
from tierproof_contracts import questions as asked
from tierproof_contracts import subjects
from tierproof_contracts.errors import explain_validation
from tierproof_proofs.note import VerifierKey

from tierproof_evidence_ledger import answers
from tierproof_evidence_ledger.answers import NoAnswer, Rows
from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.proof import NotCovered
from tierproof_evidence_ledger.verify import verify

_log = structlog.get_logger()
QUEUE = "evidence-ledger"


class Answers:
    """Answers questions from the auditor's views. Each question opens a transaction that can only read."""

    def __init__(self, dsn: str, log: VerifierKey) -> None:
        self._dsn = dsn
        self._log = log
        known: tuple[tuple[type[asked.Question], Callable[[Rows, Any], asked.Shape]], ...] = (
            (asked.StoryAsked, answers.story),
            (asked.ProofAsked, answers.proof),
            (asked.TasksAsked, answers.tasks),
            (asked.SearchAsked, answers.search),
            (asked.DeadAsked, answers.dead),
            (asked.ReviewsAsked, answers.reviews),
            (asked.VerifyAsked, self._verify),
        )
        self._known = {question.name: (question, respond) for question, respond in known}

    def answer(self, name: str, content: bytes) -> bytes:
        """Return the reply to a question; never raises for a bad one."""
        try:
            form, respond = self._known[name]
            question = form.model_validate_json(content or b"{}")
            with psycopg.connect(self._dsn, row_factory=dict_row) as rows:
                rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                found = respond(rows, question)
        except KeyError:
            return refusal("bad-question", f"no such question; ask {', '.join(sorted(self._known))}")
        except ValidationError as error:
            return refusal("bad-question", explain_validation(error))
        except NotCovered as error:
            return refusal("not-yet", error.diagnosis())
        except NoAnswer as error:
            return refusal("not-found", error.diagnosis())
        except (LedgerError, psycopg.Error) as error:
            _log.warning("question.failed", question=name, reason=type(error).__name__)
            return refusal("unavailable", "the ledger cannot answer this now; its log says why")
        return b'{"answer":' + found.model_dump_json(exclude_none=True).encode() + b"}"

    def _verify(self, _rows: Rows, _question: asked.VerifyAsked) -> asked.VerifyReport:
        began = time.monotonic()
        report = verify(self._dsn, self._log)
        problems = tuple(asked.Problem(index=fault.seq, what=fault.what) for fault in report.faults)
        return asked.VerifyReport(
            entries=report.size,
            root=report.root.hex(),
            checkpoints=report.checkpoints,
            seconds_milli=round((time.monotonic() - began) * 1000),
            problems=problems,
        )


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
        name = message.subject.rsplit(".", 1)[1]
        reply = await asyncio.to_thread(answerer.answer, name, message.data)
        if len(reply) > client.max_payload:
            reply = refusal("bad-question", "the answer is larger than a message; ask for less, with `limit`")
        await client.publish(message.reply, reply)

    subscription = await client.subscribe(subjects.asked_of_ledger("*"), queue=QUEUE, cb=begin)
    try:
        await asyncio.Event().wait()
    finally:
        if client.is_connected:
            await subscription.unsubscribe()
