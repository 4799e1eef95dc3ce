"""`tierproof result verify` and `tierproof listen`."""

from pathlib import Path
from typing import Annotated

import typer

from tierproof.cli.output import as_json, run, say
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place, trust_file
from tierproof.connection import connect
from tierproof.results import Result

app = typer.Typer(help="Released results.", no_args_is_help=True)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A file of `tierproof task result --save`.")],
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Trust file (TIERPROOF_TRUST).", show_default=False)
    ] = None,
    as_json_: JsonFlag = False,
) -> None:
    """Check a released result and its proof offline; exit 1 when something does not hold."""
    verified = Result.load(file).verify(trust or trust_file())
    if as_json_:
        as_json(
            {
                "task_id": verified.task_id,
                "status": verified.status,
                "index": verified.proven.index,
                "confirmed_by": verified.confirmed_by,
            }
        )
        return
    say(f"verified: {verified.task_id} {verified.status}, entry {verified.proven.index} of the log")
    if verified.confirmed_by:
        say(f"  confirmed by {verified.confirmed_by}")


def listen(
    tenant: Annotated[str, typer.Option("--tenant")] = "demo",
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind.")] = None,
    durable: Annotated[str | None, typer.Option("--durable", help="Go on where this name left off.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Stop after so many.", min=1)] = None,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Print released results as they come."""
    where = place(f"app-{tenant}", url, credentials)

    async def work() -> None:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            async for result in fleet.results(kind=kind, durable=durable, count=count):
                show(result, as_json_=as_json_)

    run(work())


def show(result: Result, *, as_json_: bool) -> None:
    """Print one result on a line."""
    released = result.released
    if as_json_:
        as_json(released)
    else:
        say(f"{released.task_id}  {released.kind or '-'}  {released.outcome.status}  entry {released.ledger.index}")
