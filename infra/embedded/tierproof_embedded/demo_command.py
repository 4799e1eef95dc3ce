"""`tierproof demo`: the guided run as a command."""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tierproof_bus import logs

from tierproof_embedded.demo import Shown, run_tasks
from tierproof_embedded.demo_report import missing_endings, summary
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import running_stack

COLUMNS = ("task", "kind", "class", "tiers", "attempts", "verdict", "outcome", "entry")


def demo(
    home: Annotated[Path | None, typer.Option("--home", help="State folder.")] = None,
    *,
    patience: Annotated[float, typer.Option("--patience", help="Seconds to wait for all tasks.", min=1)] = 240.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Start the stack, run real tasks of every kind and class, verify the evidence, stop."""
    console = Console(stderr=as_json, soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 140)
    logs.errors_only()  # the parts have logs of their own
    settings = EmbeddedSettings()
    settings = settings.model_copy(update={"home": home or settings.home})
    shown = asyncio.run(_shown(settings, patience, console))
    _show(shown, console, as_json=as_json)
    missing = missing_endings(shown.lines, shown.dead)
    if missing:
        console.print(f"demo: not seen this time: {', '.join(missing)}", style="red")
    raise typer.Exit(1 if missing or shown.report.problems else 0)


async def _shown(settings: EmbeddedSettings, patience: float, console: Console) -> Shown:
    began = time.monotonic()
    async with running_stack(settings, lambda message: console.print(message, markup=False)) as stack:
        for notice in stack.notices:
            console.print(notice.text, style="bold yellow" if notice.loud else None, markup=False)
        console.print(f"stack ready after {time.monotonic() - began:.1f} s: broker, database, model server, services")
        return await run_tasks(stack, patience)


def _show(shown: Shown, console: Console, *, as_json: bool) -> None:
    if as_json:
        rows = [dict(zip(COLUMNS, line.cells, strict=True)) | {"task_id": line.task_id} for line in shown.lines]
        report = shown.report.model_dump(mode="json")
        sys.stdout.write(
            json.dumps({"tasks": rows, "dead": shown.dead, "ledger": report, "without_adapters": asdict(shown.bare)})
            + "\n"
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, no_wrap=True)
    for line in shown.lines:
        table.add_row(*line.cells)
    console.print(table)
    for problem in shown.report.problems:
        console.print(f"ledger entry {problem.index}: {problem.what}", style="red", markup=False)
    bare = (shown.bare.asked, shown.bare.right)
    for sentence in summary(shown.lines, shown.dead, shown.report.entries, shown.seconds, bare):
        console.print(sentence, markup=False)
