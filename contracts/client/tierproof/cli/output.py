"""Printing: tables and sentences for people, JSON for programs."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

T = TypeVar("T")
# Markup stays off: what is printed was mostly written by others.
console = Console(highlight=False, soft_wrap=True, markup=False)
aside = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
# Characters that move the cursor, hide or turn text round: an answer must not be able to show a reviewer another one.
_UNSEEN = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - two or four digits
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
    )
    if chr(code) not in "\n\t"
} | {0xFEFF: "\\ufeff"}


def visible(text: str) -> str:
    """Return a text with everything that a terminal would obey, or not show, written out."""
    return text.translate(_UNSEEN)


def say(text: str, style: str | None = None) -> None:
    """Print a sentence, or a text that somebody else wrote."""
    console.print(visible(text), style=style)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous work."""
    return asyncio.run(work)


def as_json(value: BaseModel | dict[str, Any] | list[Any]) -> None:
    """Print one JSON value."""
    plain = value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Show that something takes a while: a spinner on a terminal, a line otherwise; never on standard output."""
    if aside.is_terminal:
        with aside.status(what):
            yield
    else:
        aside.print(f"{what} ...")
        yield


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or a sentence when there is nothing to show."""
    lines = [[visible(str(cell)) for cell in row] for row in rows]
    if not lines:
        console.print(empty)
        return
    if not console.is_terminal:  # whole lines, so that a program or a pager can cut them
        for line in (columns, *lines):
            console.print("  ".join(line))
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for line in lines:
        drawn.add_row(*line)
    console.print(drawn)
