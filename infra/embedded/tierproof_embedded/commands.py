"""`tierproof up`, `down`, `logs` and `doctor`: commands that the `tierproof` command line finds by entry point."""

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tierproof_embedded import detached
from tierproof_embedded import doctor as examination
from tierproof_embedded.follow import follow, last_lines, logs_of
from tierproof_embedded.notice import Notice
from tierproof_embedded.settings import EmbeddedSettings

Home = Annotated[Path | None, typer.Option("--home", help="State folder; TIERPROOF_HOME or .tierproof by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
REFUSED = 1


def _settings(home: Path | None) -> EmbeddedSettings:
    settings = EmbeddedSettings()
    return settings.model_copy(update={"home": home or settings.home})


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


def up(
    parts: Annotated[
        list[str] | None, typer.Argument(help="Start these and what they need; everything when none is named.")
    ] = None,
    home: Home = None,
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when everything is ready, and leave it running.")
    ] = False,
    training: Annotated[bool, typer.Option("--training", help="Start curator and trainer, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the embedded stack: broker, database, model server, services."""
    from tierproof_embedded.stack import supervisor_for  # noqa: PLC0415 - half a second that the other commands need not wait

    settings = _settings(home)
    chosen = {"only": tuple(parts or ()) or settings.only, "training": training or settings.training}
    settings = settings.model_copy(update=chosen)
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    began = time.monotonic()

    def moved(part: str, phase: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {part}: {phase}", markup=False)

    supervisor, notices = supervisor_for(settings, lambda message: console.print(message, markup=False))
    _show(notices, console)
    if not detach:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: supervisor.stop())
        supervisor.run(moved)
        return
    pid = detached.start(settings, moved)
    seconds = time.monotonic() - began
    if as_json:
        _print_json({"ok": True, "pid": pid, "home": str(settings.layout.home), "seconds": round(seconds, 2)})
    else:
        console.print(f"ready after {seconds:.1f} s in {settings.layout.home}; `tierproof down` stops it", markup=False)


def _show(notices: Sequence[Notice], console: Console) -> None:
    for notice in notices:
        console.print(notice.text, style="bold yellow" if notice.loud else None, markup=False)


def down(home: Home = None, *, as_json: AsJson = False) -> None:
    """Stop the stack that `up --detach` left running."""
    settings = _settings(home)
    pid = detached.stop(settings)
    if as_json:
        _print_json({"ok": True, "pid": pid})
    else:
        Console(highlight=False).print("stopped")


def logs(
    parts: Annotated[list[str] | None, typer.Argument(help="Parts whose logs to show; all when none is named.")] = None,
    home: Home = None,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each log.")] = 20,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow, until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the parts of the stack have written."""
    layout = _settings(home).layout
    chosen = logs_of(layout, parts or [])
    for part, line in last_lines(chosen, lines):
        _write_line(part, line, as_json=as_json)
    if following:
        try:
            for part, line in follow(chosen):
                _write_line(part, line, as_json=as_json)
        except KeyboardInterrupt:
            return


def _write_line(part: str, line: str, *, as_json: bool) -> None:
    sys.stdout.write((json.dumps({"part": part, "line": line}) if as_json else f"{part:20} {line}") + "\n")
    sys.stdout.flush()


def doctor(home: Home = None, *, as_json: AsJson = False) -> None:
    """Name what is wrong with this machine or the running stack, and what mends it."""
    findings = examination.examine(_settings(home))
    good = examination.healthy(findings)
    if as_json:
        rows = [
            {"name": f.name, "passed": f.passed, "found": f.found, "mend": "" if f.passed else f.mend} for f in findings
        ]
        _print_json({"ok": good, "checks": rows})
    else:
        console = Console(soft_wrap=True, highlight=False)
        for finding in findings:
            mark = "ok" if finding.passed else ("WRONG" if finding.serious else "note")
            console.print(f"{mark:6} {finding.name}: {finding.found}", markup=False)
            if not finding.passed:
                console.print(f"       {finding.mend}", markup=False)
    if not good:
        raise typer.Exit(REFUSED)
