"""Printing: tables and sentences for people, JSON for programs."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID
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


def answer(value: dict[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    """Print what a command did: as one JSON object with `ok`, or in sentences."""
    if as_json:
        sys.stdout.write(json.dumps({"ok": True, **value}) + "\n")
        return
    for line in lines:
        say(line)


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Show that something takes a while: a spinner on a terminal, a line otherwise; never on standard output."""
    if aside.is_terminal:
        with aside.status(what):
            yield
    else:
        aside.print(f"{what} ...")
        yield


class Headway:
    """How far a long work has come: a bar on a terminal, a line now and then otherwise; never on standard output."""

    def __init__(self) -> None:
        self._bar = Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=aside, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}

    def __enter__(self) -> Self:
        if aside.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if aside.is_terminal:
            self._bar.stop()

    def heard(self, what: str, done: int, every: int) -> None:
        """Show that `done` of `every` parts are there; 0 when nobody knows how many there will be."""
        if aside.is_terminal:
            task = self._tasks.setdefault(what, TaskID(-1))
            if task == TaskID(-1):
                task = self._tasks[what] = self._bar.add_task(what, total=every or None)
            self._bar.update(task, completed=done)
            return
        tenths = done * 10 // every if every else len(str(done))
        if tenths > self._said.get(what, -1):
            self._said[what] = tenths
            aside.print(f"{what}: {done}" + (f" of {every}" if every else "") if done else f"{what} ...")


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
