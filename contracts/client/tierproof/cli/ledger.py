"""`tierproof ledger`: search, deep verification, proofs."""

import base64
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text
from tierproof_contracts.questions import Entries, Proof, ProofAsked, SearchAsked, VerifyAsked, VerifyReport

from tierproof.cli import tasks
from tierproof.cli.asking import asked, checked
from tierproof.cli.output import as_json, console, progress, say, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag
from tierproof.cli.story import reason_of
from tierproof.errors import ClientError

app = typer.Typer(help="The evidence ledger.", no_args_is_help=True)
app.command("story")(tasks.story)
VERIFY_PATIENCE = 600.0


@app.command()
def query(
    event_type: Annotated[str | None, typer.Option("--type", help="e.g. task.decided.v1")] = None,
    actor: Annotated[str | None, typer.Option("--actor")] = None,
    task_id: Annotated[str | None, typer.Option("--task")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant")] = None,
    safety_class: Annotated[str | None, typer.Option("--class")] = None,
    since: Annotated[str | None, typer.Option("--since", help="RFC 3339, UTC")] = None,
    until: Annotated[str | None, typer.Option("--until", help="RFC 3339, UTC")] = None,
    after: Annotated[int | None, typer.Option("--after", help="Go on after this entry.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Search entries by what they say and when."""
    question = checked(
        SearchAsked,
        event_type=event_type,
        actor=actor,
        task_id=task_id,
        tenant=tenant,
        safety_class=safety_class,
        since=since,
        until=until,
        after=after,
        limit=limit,
    )
    entries = asked(question, Entries, url, credentials)
    if as_json_:
        as_json(entries)
        return
    rows = [
        (e.index, e.type or e.kind, e.source or "ledger", e.recorded_at, reason_of(e.data)) for e in entries.entries
    ]
    table(("entry", "event", "from", "recorded", "reason"), rows, empty="nothing fits")


@app.command()
def verify(url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False) -> None:
    """Re-hash every entry, rebuild the tree, check every checkpoint; exit 1 and name the first bad entry when something is wrong."""
    with progress("recomputing the whole log"):
        report = asked(VerifyAsked(), VerifyReport, url, credentials, VERIFY_PATIENCE)
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
    """The inclusion proof of one entry, as c2sp.org/tlog-proof@v1."""
    found = asked(ProofAsked(index=index), Proof, url, credentials)
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
