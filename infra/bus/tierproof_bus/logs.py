"""Structured logs: facts with names. A key that could carry a task's text is refused before it is written."""

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

TEXT_KEYS = frozenset(
    {
        "answer",
        "answers",
        "content",
        "envelope",
        "input",
        "inputs",
        "message",
        "output",
        "payload",
        "prompt",
        "salt",
        "secret",
    }
    | {"seed", "text", "texts", "token"}
)
WITHHELD = "(withheld: logs hold no texts)"


def withhold_texts(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values under keys that could carry a prompt, an answer or a secret."""
    for key in entry.keys() & TEXT_KEYS:
        entry[key] = WITHHELD
    return entry


def configure(level: str, **facts: str) -> None:
    """Log JSON lines to standard output from here on; `facts` (the service's name) come with each line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(),
            withhold_texts,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**facts)


@contextmanager
def about(**facts: str) -> Iterator[None]:
    """Add facts (task id, event id) to all lines inside."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield
