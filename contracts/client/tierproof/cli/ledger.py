"""`tierproof ledger`: search, histories, deep verification, proofs; `export` stands in `export.py`."""

import base64
import json
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from tierproof_contracts.audit import History, HistoryAsked, HistoryRow
from tierproof_contracts.questions import (
    Entries,
    Proof,
    ProofAsked,
    SearchAsked,
    Story,
    StoryAsked,
    StoryEvent,
    VerifyAsked,
    VerifyReport,
)

from tierproof.cli import filters
from tierproof.cli.asking import AUDITOR, asked, checked, checked_task_id
from tierproof.cli.export import export
from tierproof.cli.filters import AsOfFlag, ReasonFlag
from tierproof.cli.output import as_json, console, progress, run, say, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place
from tierproof.cli.story import reason_of, show_story
from tierproof.connection import connected
from tierproof.errors import ClientError

app = typer.Typer(help="The evidence ledger.", no_args_is_help=True)
app.command("export")(export)
VERIFY_PATIENCE = 600.0
AllFlag = Annotated[bool, typer.Option("--all", help="Go on to the last page; the log may grow meanwhile.")]
LimitFlag = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Entries a page.")]
COLUMNS = ("entry", "event", "from", "recorded", "reason")


@app.command()
def query(
    event_type: filters.TypeFlag = None,
    kind: filters.KindFlag = None,
    actor: filters.ActorFlag = None,
    task_id: filters.TaskFlag = None,
    model: filters.ModelFlag = None,
    tenant: filters.TenantFlag = None,
    safety_class: filters.ClassFlag = None,
    since: filters.SinceFlag = None,
    until: filters.UntilFlag = None,
    as_of: AsOfFlag = None,
    after: Annotated[
        int | None, typer.Option("--after", help="Go on after this entry, in the order asked for.")
    ] = None,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="The newest entries first.")] = False,
    limit: LimitFlag = 50,
    every: AllFlag = False,
    reason: ReasonFlag = None,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Search entries by what they say and when. The search is itself recorded."""
    question = filters.asked_with(SearchAsked, locals())
    if not every:
        found = asked(question, Entries, url, credentials)
        as_json(found) if as_json_ else table(COLUMNS, map(_line, found.entries), empty="nothing fits")
        if found.more and not as_json_:
            say(f"more follow: --after {found.entries[-1].index} --as-of {found.size}, or --all")
        return
    pages = _pages(question, url, credentials)
    run(_stream_json(pages) if as_json_ else _stream_lines(pages))


async def _pages(question: SearchAsked, url: str | None, credentials: Path | None) -> AsyncIterator[Entries]:
    """Yield every page, of the log as it was at the first."""
    where = place(AUDITOR, url, credentials)
    async with connected(where.url, credentials=where.credentials) as connection:
        page = await connection.ask(question, Entries)
        while page.more:
            yield page
            onward = {"as_of": page.size, "after": page.entries[-1].index}
            page = await connection.ask(question.model_copy(update=onward), Entries)
        yield page


async def _stream_json(pages: AsyncIterator[Entries]) -> None:
    """Print one JSON value without holding more than a page."""
    separator, size = '{"entries": [', 0
    async for page in pages:
        size = page.size
        for entry in page.entries:
            sys.stdout.write(separator + json.dumps(entry.model_dump(mode="json", exclude_none=True)))
            separator = ",\n"
    opened = separator if separator != ",\n" else ""
    sys.stdout.write(f'{opened}], "size": {size}, "more": false}}\n')


async def _stream_lines(pages: AsyncIterator[Entries]) -> None:
    async for page in pages:
        table(COLUMNS, map(_line, page.entries), empty="nothing fits")


def _line(entry: StoryEvent) -> tuple[object, ...]:
    who = entry.data.get("actor") or entry.data.get("signer") or entry.source or "ledger"
    return entry.index, entry.type or entry.kind, who, entry.recorded_at, reason_of(entry.data)


@app.command()
def story(
    task_id: Annotated[str, typer.Argument(help="The task's id.", metavar="TASK")],
    as_of: AsOfFlag = None,
    reason: ReasonFlag = None,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Every entry of a task, in order, with reasons."""
    question = checked(StoryAsked, task_id=checked_task_id(task_id), as_of=as_of, reason=reason)
    show_story(asked(question, Story, url, credentials), as_json_=as_json_)


@app.command()
def history(
    record: Annotated[
        str,
        typer.Argument(
            help="document:routing-policy, document:fleet-manifest, document:reviewers, task:<id>, model:<digest>, "
            "texts:<tenant> or log-key"
        ),
    ],
    as_of: AsOfFlag = None,
    after: Annotated[int | None, typer.Option("--after", help="Go on after this entry.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Changes a page.")] = 100,
    reason: ReasonFlag = None,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Every change of one record: who, when (UTC), the old and the new value, and why."""
    question = checked(HistoryAsked, record=record, as_of=as_of, after=after, limit=limit, reason=reason)
    found = asked(question, History, url, credentials)
    if as_json_:
        as_json(found)
        return
    columns = ("entry", "when", "who", "what", "old", "new", "why")
    table(columns, (line for row in found.rows for line in _changes(row)), empty="nothing was ever said of it")
    if found.more:
        say(f"more follow: --after {found.rows[-1].index}")


def _changes(row: HistoryRow) -> Iterable[tuple[object, ...]]:
    yield row.index, row.time, row.who, row.type, _shown(row.old), _shown(row.new), row.why or ""
    for change in row.changes:
        yield "", "", "", f"  {change.member}", _shown(change.old), _shown(change.new), ""


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.command()
def verify(
    reason: ReasonFlag = None, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """Re-hash every entry, rebuild the tree, check every checkpoint; exit 1 and name the first bad entry when something is wrong."""
    with progress("recomputing the whole log"):
        report = asked(checked(VerifyAsked, reason=reason), VerifyReport, url, credentials, VERIFY_PATIENCE)
    if as_json_:
        as_json(report)
    else:
        for problem in report.problems:
            at = "the log" if problem.index is None else f"entry {problem.index}"
            console.print(Text.assemble((f"{at}:", "red"), " ", problem.what))
        verdict = "verified" if not report.problems else "NOT verified"
        size = f"{report.entries} entries, {report.checkpoints} checkpoints"
        say(f"{verdict}: {size}, root {report.root}, {report.seconds_milli / 1000:.2f} s")
    raise typer.Exit(1 if report.problems else 0)


@app.command()
def proof(
    index: Annotated[int, typer.Argument(help="The entry's position.", min=0)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the .tlog-proof here, and the entry's bytes beside it.")
    ] = None,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """The inclusion proof of one entry under the newest cosigned checkpoint, as c2sp.org/tlog-proof@v1."""
    found = asked(checked(ProofAsked, index=index), Proof, url, credentials)
    if out is not None:
        try:
            out.write_text(found.proof)
            out.with_suffix(".entry").write_bytes(base64.b64decode(found.entry))
        except OSError as error:
            raise ClientError(f"{out}: {error.strerror}") from None
    if as_json_:
        as_json(found)
    elif out is None:
        console.print(found.proof, end="")
    else:
        say(f"{out} and {out.with_suffix('.entry')}")
