"""Asking the evidence ledger, as an auditor."""

import re
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.questions import Question, Story, StoryAsked

from tierproof.cli.output import run
from tierproof.cli.places import place
from tierproof.connection import AnswerT, connected

AUDITOR = "auditor"
ModelT = TypeVar("ModelT", bound=BaseModel)


def checked(form: type[ModelT], **fields: Any) -> ModelT:  # noqa: ANN401 - what a person typed
    """Return a question built from a command's flags; one that does not fit is wrong usage, and is named."""
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        raise typer.BadParameter(explain_validation(error)) from None


def checked_task_id(text: str) -> str:
    """Return a task id; any other text is wrong usage."""
    if not re.fullmatch(r"[a-z0-9-]{1,32}_[0-9a-f]{32}", text):
        raise typer.BadParameter(f"task_id: this is no task id: {text!r}; it looks like demo_ and 32 hex digits")
    return text


async def ask(
    question: Question, answer: type[AnswerT], url: str | None, credentials: Path | None, patience: float | None = None
) -> AnswerT:
    """Ask the ledger one question; raises RefusedByLedger, NoAnswer, NotReachable."""
    where = place(AUDITOR, url, credentials)
    async with connected(where.url, credentials=where.credentials) as connection:
        return await connection.ask(question, answer, patience)


def asked(
    question: Question, answer: type[AnswerT], url: str | None, credentials: Path | None, patience: float | None = None
) -> AnswerT:
    """As `ask`, for a command that does nothing else."""
    return run(ask(question, answer, url, credentials, patience))


def story_of(task_id: str, url: str | None, credentials: Path | None) -> Story:
    """Return a task's story."""
    return asked(StoryAsked(task_id=checked_task_id(task_id)), Story, url, credentials)
