"""Structured logs: facts with names. A key that could carry a task's text is refused before it is written."""

import logging
import sys
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


def errors_only() -> None:
    """Log nothing but errors, to standard error: for a command, whose standard output is its answer."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, withhold_texts, structlog.dev.ConsoleRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


@contextmanager
def about(**facts: str) -> Iterator[None]:
    """Add facts (task id, event id) to all lines inside."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield
