"""`tierproof data build|inspect|audit|records|seal|request`: snapshots from the command line."""

import asyncio
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from tierproof.cli.output import answer
from tierproof.cli.places import CredentialsFlag, UrlFlag, place
from tierproof_bus import logs, requests
from tierproof_bus.settings import BusSettings
from tierproof_contracts import subjects
from tierproof_contracts.dataset import DatasetPublishedV1, DatasetRejectedV1, DatasetRequestedV1
from tierproof_contracts.envelope import Event
from tierproof_contracts.errors import explain_validation
from tierproof_proofs.keys import Ed25519Verifier, load_or_create_key, public_base64_of
from tierproof_proofs.snapshots import MANIFEST, RECORDS

from tierproof_curator import decide, ngrams, rejection, snapshot, sources
from tierproof_curator.errors import Contaminated, CuratorError, FileRefused
from tierproof_curator.records import LineLimits, lines_of
from tierproof_curator.settings import CuratorSettings

app = typer.Typer(help="Snapshots of training records: build, inspect, audit.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Into = Annotated[
    Path | None, typer.Option("--datasets", help="Folder of snapshots; TIERPROOF_CURATOR_DATASETS by default.")
]
TOLD_EVERY = 1000
ENGINEER = "ml-engineer"
SHOWN = ("uid", "records", "labels", "licences", "kinds", "clean_of")  # of a manifest


@app.command()
def build(
    records: Annotated[Path, typer.Argument(help="File of records, one JSON object a line.")],
    sealed: Annotated[
        list[Path] | None, typer.Option("--sealed", help="Examination as hashed n-grams; repeatable.")
    ] = None,
    datasets: Into = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Build an immutable, signed snapshot. Fails, naming them, when records overlap an examination; that is recorded, signed."""
    settings, console = _settings(datasets), Console(stderr=True)
    with _progress(console) as tell:
        signer = load_or_create_key(settings.key_file)
        try:
            found = snapshot.build(
                lines_of(records, LineLimits(longest_line=settings.longest_line)),
                into=settings.datasets,
                rules=decide.Rules(labels=settings.labels, licences=settings.licences),
                sealed=[ngrams.read(path) for path in sealed or ()],
                signer=signer,
                memory=settings.memory,
                tell=tell,
            )
        except Contaminated as refused:
            rejection.record(refused, records, into=settings.datasets, signer=signer)
            raise
    said = {"uid": found.uid, "statement": found.statement, "folder": str(found.folder), **dict(found.manifest)}
    lines = [f"{found.uid}", f"  {found.manifest['records']} records in {found.folder}", *_counted(found.manifest)]
    lines += [f"  signed with {signer.public_base64}, which `data audit --key` wants"]
    answer({**said, "signed_by": signer.public_base64}, lines, as_json=as_json)


@app.command()
def inspect(folder: Annotated[Path, typer.Argument(help="Folder of a snapshot.")], *, as_json: AsJson = False) -> None:
    """Show what a snapshot says of itself; `audit` checks that it is true."""
    manifest = _manifest(folder)
    answer(manifest, [str(manifest["uid"]), f"  {manifest['records']} records", *_counted(manifest)], as_json=as_json)


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="Folder of a snapshot.")],
    key: Annotated[
        str, typer.Option("--key", help="Who must have signed it: raw Ed25519 key in base64, or a key file.")
    ],
    sealed: Annotated[list[Path] | None, typer.Option("--sealed", help="Search for overlaps with these, anew.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Hash every record again, rebuild the root, verify the statement; name the first bad record."""
    settings = _settings(None)
    found, _ = snapshot.verified(
        folder,
        {"curator": Ed25519Verifier.from_base64(public_base64_of(key))},
        LineLimits(longest_line=settings.longest_line),
    )
    for path in sealed or ():
        _refuse_overlap(found, ngrams.read(path), settings)
    said = {"ok": True, "uid": found.uid, "records": found.manifest["records"], "clean_of": found.manifest["clean_of"]}
    answer(said, [f"{found.uid}: {found.manifest['records']} records, root and statement hold"], as_json=as_json)


@app.command()
def records(
    items: Annotated[
        Path, typer.Argument(help="Items of a domain, as `python -m tierproof_domains write` writes them.")
    ],
    to: Annotated[Path, typer.Option("--to", help="File of records to write.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Turn items of a domain into records."""
    settings, count = _settings(None), 0
    unfinished = to.with_name(f".{to.name}.{os.getpid()}")  # the file appears when it is complete
    try:
        with unfinished.open("wb") as file:
            for record in sources.lessons_of(items, LineLimits(longest_line=settings.longest_line)):
                file.write(record.line() + b"\n")
                count += 1
        if count == 0:
            raise FileRefused(f"{items}: holds no items; write some with `python -m tierproof_domains write`")
        unfinished.replace(to)
    finally:
        unfinished.unlink(missing_ok=True)
    answer({"records": count, "file": str(to)}, [f"{count} records in {to}"], as_json=as_json)


@app.command()
def seal(
    items: Annotated[Path, typer.Argument(help="Sealed items of a domain.")],
    name: Annotated[str, typer.Option("--name", help="Name of the examination.")],
    to: Annotated[Path, typer.Option("--to", help="File of hashed n-grams to write.")],
    key_from: Annotated[
        str | None, typer.Option("--key-from", help="Text that the key follows from; random by default.")
    ] = None,
    fewest: Annotated[
        int,
        typer.Option("--fewest", min=1, help="n-grams that an item needs to be searched for; fewer for short items."),
    ] = ngrams.Measure().fewest,
    share: Annotated[
        int, typer.Option("--share", min=1, max=100, help="Percent of an item's n-grams that make a leak.")
    ] = ngrams.Measure().share_percent,
    *,
    as_json: AsJson = False,
) -> None:
    """Write an examination as keyed hashes of its n-grams: enough to find a leak, not enough to read a question."""
    settings = _settings(None)
    measure = ngrams.Measure(fewest=fewest, share_percent=share)
    found = sources.items_of(items, LineLimits(longest_line=settings.longest_line))
    to.write_bytes(sources.seal(name, found, measure, sources.key_of(key_from) if key_from else None))
    made = ngrams.read(to)
    short = [item.name for item in made.items if not item.views]
    said = {"digest": made.digest, "items": len(made.items), "too_short": short}
    answer(said, [f"{made.digest}  {to}"], as_json=as_json)
    if short:
        because = f"{len(short)} of {len(made.items)} items are too short to be found again, {short[0]} first"
        Console(stderr=True, soft_wrap=True).print(f"{because}: leave them out of the examination", style="yellow")


@app.command()
def request(
    records: Annotated[str, typer.Argument(help="Name of a file of records in the curator's inbox.")],
    sealed: Annotated[
        list[Path],
        typer.Option("--sealed", help="Examination that it must not overlap, as hashed n-grams; repeatable."),
    ],
    by: Annotated[str, typer.Option("--by", help="Who asks.")] = ENGINEER,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for what becomes of it.")] = 0,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask the curator service for a snapshot of records that lie in its inbox."""
    identifier = str(uuid.uuid4())
    try:
        asked = DatasetRequestedV1(
            request_id=identifier,
            records=records,
            sealed=tuple(ngrams.read(path).digest for path in sealed),
            requested_by=by,
        )
    except ValidationError as error:
        raise CuratorError(explain_validation(error)) from None
    logs.errors_only()
    where = place(ENGINEER, url, credentials)
    settings = BusSettings(nats_url=where.url, nkey_seed_file=where.credentials)
    outcomes: dict[str, type[Event]] = {
        subjects.dataset_published(identifier): DatasetPublishedV1,
        subjects.dataset_rejected(identifier): DatasetRejectedV1,
    }
    found = asyncio.run(requests.ask(ENGINEER, settings, asked, identifier, outcomes, wait=wait))
    said = {"request": identifier, **found.told(DatasetPublishedV1)}
    answer(said, [f"{identifier} asked for", *_lines_of(found.settled)], as_json=as_json)
    if wait and not isinstance(found.settled, DatasetPublishedV1):
        raise typer.Exit(1)


def _lines_of(event: Event | None) -> list[str]:
    match event:
        case DatasetPublishedV1() as published:
            return [f"  {published.uid}: {published.records} records"]
        case DatasetRejectedV1() as rejected:
            return [f"  {rejected.code}: {rejected.because}"]
        case _:
            return []


def _refuse_overlap(found: snapshot.Snapshot, sealed: ngrams.SealedSet, settings: CuratorSettings) -> None:
    from tierproof_curator.records import record_of  # noqa: PLC0415

    search = sealed.overlapping()
    limits = LineLimits(longest_line=settings.longest_line)
    leaks = []
    for number, line in lines_of(found.folder / RECORDS, limits):
        record = record_of(line, number)
        if (leak := search.leak_in(record)) is not None:
            leaks.append((record.id, *leak))
    if leaks:
        raise Contaminated(sealed.digest, tuple(leaks))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        missing = [name for name in SHOWN if name not in found]
    except (OSError, ValueError, TypeError) as error:
        because = str(error)
    else:
        if not missing:
            return found
        because = f"its manifest names no {missing[0]}"
    raise CuratorError(f"{folder}: no snapshot ({because}); name the folder that `tierproof data build` printed")


def _counted(manifest: dict[str, Any] | Any) -> list[str]:  # noqa: ANN401 - a manifest's JSON
    parts = [
        f"  {name}: " + ", ".join(f"{key} {count}" for key, count in manifest[name].items())
        for name in ("labels", "licences", "kinds")
    ]
    return [*parts, f"  free of {len(manifest['clean_of'])} sealed examinations"]


def _settings(datasets: Path | None) -> CuratorSettings:
    settings = CuratorSettings()
    return (
        settings
        if datasets is None
        else settings.model_copy(update={"datasets": datasets, "key_file": datasets / "curator.pem"})
    )


@contextmanager
def _progress(console: Console) -> Iterator[snapshot.Tell]:
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(
        SpinnerColumn(), TextColumn("{task.completed} records"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("records", total=None)

        def tell(number: int) -> None:
            if number % TOLD_EVERY == 0:
                bar.update(task, completed=number)

        yield tell
