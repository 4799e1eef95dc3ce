"""`tierproof dead`: what nobody could handle."""

import base64
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.errors import ContractError
from tierproof_contracts.questions import DeadAsked, DeadLetter, DeadLetters
from tierproof_contracts.task import TaskSubmittedV1

from tierproof.cli import tasks
from tierproof.cli.output import as_json, console, run, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place
from tierproof.connection import connect, connected
from tierproof.errors import ClientError

app = typer.Typer(help="Messages that nobody could handle.", no_args_is_help=True)
IndexArgument = Annotated[int, typer.Argument(help="The letter's ledger entry, as in `dead list`.", min=0)]


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 50,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Dead letters, newest first."""
    letters = tasks.asked(DeadAsked(limit=limit), DeadLetters, url, credentials)
    if as_json_:
        as_json(letters)
        return
    rows = [(d.index, d.service, d.reason, d.detail, d.attempts, f"{d.stream}/{d.sequence}") for d in letters.letters]
    table(("entry", "service", "reason", "detail", "attempts", "origin"), rows, empty="no dead letters")


@app.command()
def show(
    index: IndexArgument, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """One dead letter and the message behind it, as far as it can be read."""
    letter, content = run(_letter(index, url, credentials))
    if as_json_:
        as_json({**letter.model_dump(mode="json"), "message": content.decode(errors="replace")})
        return
    console.print(f"{letter.service} gave up after {letter.attempts}: {letter.reason}: {letter.detail}", markup=False)
    console.print(f"{letter.subject}\n{content.decode(errors='replace')[:4000]}", markup=False)


@app.command()
def redrive(
    index: IndexArgument,
    file: Annotated[
        Path | None, typer.Option("--file", help="A mended submission (JSON of its data) to send instead.")
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant")] = "demo",
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Send a dead submission again, as a new task that names the old one."""
    letter, content = run(_letter(index, url, credentials))
    given = mended(file) if file else submission_of(letter, content)
    redrives = letter.subject.rsplit(".", 1)[1]
    where = place(f"app-{tenant}", url, credentials)

    async def work() -> str:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            task = await fleet.submit(**given, redrives=redrives if "_" in redrives else None)
            return task.task_id

    task_id = run(work())
    as_json({"task_id": task_id}) if as_json_ else console.print(task_id)


def submission_of(letter: DeadLetter, content: bytes) -> dict[str, Any]:
    """Return what a readable submission asked for; raises ClientError naming the mend when it cannot be read."""
    try:
        data = read_event(content).data
    except ContractError as error:
        raise ClientError(
            f"entry {letter.index}: the message cannot be read ({error.diagnosis()}); "
            "send a mended submission with --file"
        ) from None
    if not isinstance(data, TaskSubmittedV1):
        raise ClientError(
            f"entry {letter.index}: {data.event_type} is no submission; the router has already ended its task"
        )
    return {
        "kind": data.kind,
        "safety_class": data.safety_class,
        "prompt": data.prompt.text,
        "inputs": {name: text.text for name, text in data.inputs.items()},
        "time_allowed": data.time_allowed_ms / 1000 if data.time_allowed_ms else None,
    }


def mended(file: Path) -> dict[str, Any]:
    """Read a mended submission: JSON with kind, safety_class, prompt and optionally inputs (texts by name)."""
    try:
        given = json.loads(tasks.text_of(file))
        return {name: given[name] for name in ("kind", "safety_class", "prompt")} | {"inputs": given.get("inputs", {})}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClientError(f"{file}: needs kind, safety_class and prompt ({type(error).__name__})") from None


async def _letter(index: int, url: str | None, credentials: Path | None) -> tuple[DeadLetter, bytes]:
    where = place("auditor", url, credentials)
    async with connected(where.url, credentials=where.credentials) as connection:
        letters = await connection.ask(DeadAsked(limit=500), DeadLetters)
        letter = next((each for each in letters.letters if each.index == index), None)
        if letter is None:
            raise ClientError(f"entry {index} is no dead letter; see `tierproof dead list`")
        wanted = json.dumps({"seq": letter.sequence}).encode()
        reply = json.loads((await connection.request(f"$JS.API.STREAM.MSG.GET.{letter.stream}", wanted)).data)
        if "message" not in reply:
            raise ClientError(f"{letter.stream}/{letter.sequence}: the message is no longer stored")
        return letter, base64.b64decode(reply["message"].get("data", ""))
