"""`tierproof dead`: what nobody could handle."""

import base64
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.errors import ContractError
from tierproof_contracts.questions import DeadAsked, DeadLetter, DeadLetters
from tierproof_contracts.task import TaskSubmittedV1

from tierproof.cli.asking import AUDITOR, asked
from tierproof.cli.output import as_json, run, say, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place
from tierproof.cli.tasks import text_of
from tierproof.connection import connect, connected
from tierproof.errors import ClientError, NotPermitted

MOST_SHOWN = 4000
TASK_ID = re.compile(r"[a-z0-9-]{1,32}_[0-9a-f]{32}")
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
    letters = asked(DeadAsked(limit=limit), DeadLetters, url, credentials)
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
    say(f"{letter.service} gave up after {letter.attempts}: {letter.reason}: {letter.detail}")
    say(f"{letter.subject}\n{content.decode(errors='replace')[:MOST_SHOWN]}")


@app.command()
def redrive(
    index: IndexArgument,
    file: Annotated[
        Path | None, typer.Option("--file", help="A mended submission (JSON of its data) to send instead.")
    ] = None,
    url: UrlFlag = None,
    credentials: Annotated[
        Path | None, typer.Option("--credentials", help="The tenant's NKey seed file.", show_default=False)
    ] = None,
    auditor: Annotated[
        Path | None, typer.Option("--auditor", help="The auditor's NKey seed file.", show_default=False)
    ] = None,
    as_json_: JsonFlag = False,
) -> None:
    """Send a dead submission again, as a new task that names the old one. Twice the same is one task."""
    letter, content = run(_letter(index, url, auditor))
    tenant, dead_task = submitted_by(letter)
    given = mended(file) if file else submission_of(letter, content)
    # What is sent is part of the key: another mend of the same letter is another task.
    key = f"redrive {letter.stream}/{letter.sequence} {_digest(given)}"
    where = place(f"app-{tenant}", url, credentials)

    async def work() -> str:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            task = await fleet.submit(**given, key=key, redrives=dead_task)
            return task.task_id

    task_id = run(work())
    as_json({"task_id": task_id, "redrives": dead_task}) if as_json_ else say(task_id)


def submitted_by(letter: DeadLetter) -> tuple[str, str | None]:
    """Return the tenant of a dead submission, and its task id where it had a usable one; raises ClientError for anything else."""
    *front, tenant, key = letter.subject.split(".")
    if ".".join((*front, tenant, key)) != subjects.task_submitted(tenant, key):
        raise ClientError(
            f"entry {letter.index}: {letter.subject} is no submission, so it cannot be sent again: its sender would have to "
            "publish it, and its task ends by itself (tierproof task story)"
        )
    return tenant, key if TASK_ID.fullmatch(key) else None


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
            f"entry {letter.index}: {data.event_type} lies where a submission should; send a mended one with --file"
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
        given = json.loads(text_of(file))
        return {name: given[name] for name in ("kind", "safety_class", "prompt")} | {"inputs": given.get("inputs", {})}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClientError(f"{file}: needs kind, safety_class and prompt ({type(error).__name__})") from None


def _digest(given: dict[str, Any]) -> str:
    return sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


async def _letter(index: int, url: str | None, credentials: Path | None) -> tuple[DeadLetter, bytes]:
    """Return a dead letter and the message that it names; raises ClientError when either is not to be had."""
    where = place(AUDITOR, url, credentials)
    async with connected(where.url, credentials=where.credentials) as connection:
        letters = await connection.ask(DeadAsked(limit=500), DeadLetters)
        letter = next((each for each in letters.letters if each.index == index), None)
        if letter is None:
            raise ClientError(f"entry {index} is no dead letter; see `tierproof dead list`")
        wanted = json.dumps({"seq": letter.sequence}).encode()
        try:
            reply = json.loads((await connection.request(f"$JS.API.STREAM.MSG.GET.{letter.stream}", wanted)).data)
        except NotPermitted:
            raise ClientError(f"{letter.stream}/{letter.sequence}: an auditor may not read this stream") from None
        if "message" not in reply:
            raise ClientError(f"{letter.stream}/{letter.sequence}: the message is no longer stored")
        return letter, base64.b64decode(reply["message"].get("data", ""))
