"""`tierproof demo-train`: from records to a signed adapter that answers a task, as one command."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from tierproof_bus import logs
from tierproof_contracts.inference import AdapterPin
from tierproof_domains.item import Item

from tierproof_embedded import demo_train_fleet as fleets
from tierproof_embedded.demo_train_ask import Examined, examined
from tierproof_embedded.demo_train_report import Done, as_json, failures, told
from tierproof_embedded.demo_train_steps import TRAINER_KEY, Recipe, learned
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.process import remembered
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import running_stack

TRACES = Recipe(
    kind="reg-doc-drafting",
    family="trace",
    name="traces",
    lessons=200,
    sealed=40,
    changes=("hyperparameters.longest_tokens=256", "hyperparameters.warmup_steps=4", "hyperparameters.batch=4"),
)
MARK = "made-by-demo-train"  # a folder without it is somebody's, and is left alone
STACK = "stack"
WRITABLE = 0o700


def demo_train(
    home: Annotated[Path, typer.Option("--home", help="Folder of the run, made anew.")] = Path(".tierproof-train"),
    *,
    asked: Annotated[int, typer.Option("--ask", help="Sealed items to ask.", min=1)] = 16,
    lessons: Annotated[int, typer.Option("--lessons", help="Records to learn from.", min=8)] = TRACES.lessons,
    patience: Annotated[float, typer.Option("--patience", help="Seconds to wait for all tasks.", min=1)] = 240.0,
    to_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Go from records to a signed adapter that answers a task through the whole stack; fail when it does not."""
    console = Console(stderr=to_json, soft_wrap=True, highlight=False)
    logs.errors_only()  # the parts have logs of their own
    signal.signal(signal.SIGTERM, _end)

    def say(line: str) -> None:
        console.print(line, markup=False)

    done = _done(replace(TRACES, lessons=lessons), asked, _fresh(home.absolute()), patience, say)
    for line in told(done):
        say(line)
    if to_json:
        sys.stdout.write(json.dumps(as_json(done)) + "\n")
    for fault in failures(done):
        console.print(f"demo-train: {fault}", style="red", markup=False)
    raise typer.Exit(1 if failures(done) else 0)


def _done(recipe: Recipe, asked: int, folder: Path, patience: float, say: Callable[[str], None]) -> Done:
    began = time.monotonic()
    known = learned(recipe, folder, say)
    say("5. The fleet with the adapter: the whole stack, and sealed items as tasks")
    artifact = folder / known.trained["folder"]
    pin = AdapterPin(name=recipe.name, digest=known.trained["artifact"])
    fleets.with_adapter(folder, artifact, pin, recipe.kind, folder / TRAINER_KEY)
    settings = EmbeddedSettings().model_copy(update={"home": folder / STACK, "fleet": folder / fleets.FLEET})
    seen, seconds = asyncio.run(_asked(settings, known.items[:asked], patience, say))
    return Done(
        adapter=recipe.name, learned=known, examined=seen, seconds={**known.seconds, **seconds},
        total=time.monotonic() - began,
    )  # fmt: skip


async def _asked(
    settings: EmbeddedSettings, items: Sequence[Item], patience: float, say: Callable[[str], None]
) -> tuple[Examined, dict[str, float]]:
    began = time.monotonic()
    async with running_stack(settings, lambda message: say(f"  {message}")) as stack:
        ready = time.monotonic()
        say(f"  ready after {ready - began:.0f} s; {len(items)} tasks")
        seen = await examined(stack, items, patience)
        return seen, {"stack": ready - began, "tasks": time.monotonic() - ready}


def _fresh(folder: Path) -> Path:
    """Return the empty folder of this run: what an earlier run left is removed. Raises StepFailed for a folder that is another's."""
    step = f"making {folder} anew"
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise StepFailed(step=step, said="it was not made by this command; name another by --home")
    if (running := remembered(folder / STACK / "run" / "supervisor.pid")) is not None:
        raise StepFailed(step=step, said=f"the stack in it still runs (process {running.pid})")
    try:
        for below, _, _ in os.walk(folder):
            Path(below).chmod(WRITABLE)  # a snapshot's folder is read-only
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / MARK).touch()
    except OSError as error:
        raise StepFailed(step=step, said=str(error)) from None
    return folder


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)  # what was started is stopped on the way out
