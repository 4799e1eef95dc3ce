"""Printing: tables and sentences for people, JSON for programs."""

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

T = TypeVar("T")
console = Console(highlight=False, soft_wrap=True)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous work."""
    return asyncio.run(work)


def as_json(value: BaseModel | dict[str, Any] | list[Any]) -> None:
    """Print one JSON value."""
    plain = value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or a sentence when there is nothing to show."""
    lines = [[str(cell) for cell in row] for row in rows]
    if not lines:
        console.print(empty)
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for line in lines:
        drawn.add_row(*line)
    console.print(drawn)
