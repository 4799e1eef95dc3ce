"""`tierproof ledger backup`, `restore` and `drill`: disasters of the embedded stack, met and rehearsed."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tierproof_embedded.errors import NotRunning
from tierproof_embedded.settings import EmbeddedSettings

if TYPE_CHECKING:
    from tierproof_embedded.drill import DrillReport, Site, Tell

Home = Annotated[Path | None, typer.Option("--home", help="State folder; TIERPROOF_HOME or .tierproof by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
FAILED = 1


def _settings(home: Path | None) -> EmbeddedSettings:
    settings = EmbeddedSettings()
    return settings.model_copy(update={"home": home or settings.home})


def _tell(step: str, seconds: float) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"{seconds:8.2f} s  {step}", markup=False)


def drill(
    home: Home = None,
    *,
    tasks: Annotated[int, typer.Option("--tasks", min=2, max=10_000, help="Tasks that run during the drill.")] = 40,
    keep: Annotated[Path | None, typer.Option("--keep", help="An empty folder for what the drill makes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse the loss of the ledger's database, on the running stack or on one that is started for it."""
    from tierproof_bus import logs  # noqa: PLC0415

    logs.errors_only()
    report = asyncio.run(_drilled(_settings(home), _tell, tasks, keep))
    if as_json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
    else:
        for line in _lines(report):
            Console(soft_wrap=True, highlight=False).print(line, markup=False)
    raise typer.Exit(0 if report.passed else FAILED)


async def _drilled(settings: EmbeddedSettings, tell: "Tell", tasks: int, keep: Path | None) -> "DrillReport":
    from tierproof_embedded.drill import drill as rehearsed  # noqa: PLC0415
    from tierproof_embedded.stack import running_stack  # noqa: PLC0415

    if (site := _running(settings)) is not None:
        return await rehearsed(site, tell, tasks=tasks, keep=keep)
    tell("nothing runs: a stack is started for the drill", 0.0)
    async with running_stack(settings) as stack:
        return await rehearsed(_site(settings, stack.nats_url, stack.owner_dsn), tell, tasks=tasks, keep=keep)


def _running(settings: EmbeddedSettings) -> "Site | None":
    """Return the stack that runs in the folder, None when none does."""
    from tierproof_embedded import detached, endpoints  # noqa: PLC0415

    if detached.status_of(settings.layout) is None:
        return None
    places = endpoints.choose(settings.layout, settings, ())
    return _site(settings, places.nats_url, places.owner_dsn)


def _site(settings: EmbeddedSettings, nats_url: str, owner_dsn: str) -> "Site":
    from tierproof_embedded.drill import Site  # noqa: PLC0415

    return Site(
        layout=settings.layout,
        nats_url=nats_url,
        owner_dsn=owner_dsn,
        tenant=settings.tenants[0],
        log_name=settings.log_name,
    )


def _lines(report: "DrillReport") -> Iterator[str]:
    yield f"backup of {report.backup_size} entries; {report.size} had been told of when the disaster came"
    yield f"restored: {report.restored} entries, {report.mirrored} of them from the mirror; root {report.root}"
    yield f"recovery point: {report.rpo} entries lost, {report.replayable} messages more in the streams"
    yield f"recovery time: {report.rto:.1f} s"
    agreed = "is" if report.root_agrees else "IS NOT"
    yield f"the root {agreed} that of the checkpoint of {report.published} entries; cosigned by {', '.join(report.witnesses) or 'nobody'}"
    for fault in report.faults:
        yield f"FAULT: {fault}"
    yield "the drill has passed" if report.passed else "the drill has FAILED"


def backup(
    to: Annotated[Path, typer.Option("--to", help="An empty folder.")], home: Home = None, *, as_json: AsJson = False
) -> None:
    """Back up the ledger's database of the running stack, and verify the backup. It holds no keys: keep those apart."""
    from tierproof_evidence_ledger.backup import back_up  # noqa: PLC0415

    settings = _settings(home)
    site = _running(settings)
    if site is None:
        raise NotRunning(home=settings.layout.home)
    made = back_up(site.owner_dsn, to)
    said = made.to_json()
    if as_json:
        sys.stdout.write(json.dumps(said) + "\n")
    else:
        seconds = made.seconds_milli / 1000
        Console(soft_wrap=True, highlight=False).print(
            f"{made.size} entries or more in {to}, verified, after {seconds:.1f} s; {made.without}", markup=False
        )


def restore(
    backup: Annotated[Path, typer.Option("--from", help="A folder that `tierproof ledger backup` made.")],
    home: Home = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the stopped stack's database, and bring it up to the mirror and the streams.

    What lay there is kept beside it. Nothing is written where somebody knows more of the log than would come back.
    """
    from tierproof_bus import logs  # noqa: PLC0415

    from tierproof_embedded.restoration import restored  # noqa: PLC0415

    logs.errors_only()
    report = asyncio.run(restored(_settings(home), backup, _tell))
    if as_json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
    else:
        for line in report.lines():
            Console(soft_wrap=True, highlight=False).print(line, markup=False)
    raise typer.Exit(FAILED if report.faults or report.taken else 0)
