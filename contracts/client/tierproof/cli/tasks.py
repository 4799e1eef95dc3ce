"""`tierproof task`: submit, list, status, result, story, explain."""

import asyncio
import re
from enum import IntEnum
from pathlib import Path
from typing import Annotated, assert_never

import typer
from tierproof_contracts.ids import tenant_of
from tierproof_contracts.questions import Story, StoryAsked, Tasks, TasksAsked
from tierproof_contracts.result import Answered
from tierproof_contracts.task import Abstained, Failed

from tierproof.cli.asking import AUDITOR, ask, asked, checked, checked_task_id, story_of
from tierproof.cli.explain import explanation, policy_of
from tierproof.cli.output import as_json, progress, run, say, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place
from tierproof.cli.story import show_story
from tierproof.connection import connect, connected
from tierproof.errors import ClientError, NotYet
from tierproof.fleet import Task
from tierproof.results import Result

app = typer.Typer(help="Submit tasks and see what became of them.", no_args_is_help=True)
TenantFlag = Annotated[str, typer.Option("--tenant", help="The tenant whose program this is.")]
TaskArgument = Annotated[str, typer.Argument(help="The task's id.", metavar="TASK")]
POLICY_MAY_ALLOW = 600.0
GRACE = 60.0
LOOK_AFTER = 2.0


class Exit(IntEnum):
    """Exit codes of `task submit --wait` and `task result`."""

    ANSWERED = 0
    ABSTAINED = 3
    FAILED = 4
    WAITING_FOR_REVIEW = 5
    TIMED_OUT = 6


def seconds(text: str) -> float:
    """Read `90`, `90s`, `5m` or `1h` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 5m or 1h")
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[found[2]]


def named_inputs(pairs: list[str]) -> dict[str, str]:
    """Read `name=path` pairs."""
    inputs = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator:
            raise typer.BadParameter(f"{pair!r}: write name=path")
        inputs[name] = text_of(Path(path))
    return inputs


def text_of(path: Path) -> str:
    """Read a text file; raises ClientError naming it."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: cannot be read as text ({type(error).__name__})") from None


@app.command()
def submit(
    safety_class: Annotated[str, typer.Option("--class", help="IEC 62304 class of the affected artifact: A, B or C.")],
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="Task kind, e.g. reg-doc-drafting.", show_default="the triage model reads it"),
    ] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="The request itself.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file that holds the request.")] = None,
    inputs: Annotated[list[str] | None, typer.Option("--input", help="A named input: name=path. Repeat it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same key is the same task.")] = None,
    deadline: Annotated[str | None, typer.Option("--deadline", help="Time allowed, e.g. 60s.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the released result.")] = False,
    patience: Annotated[
        str | None, typer.Option("--patience", help="How long --wait waits.", show_default="the deadline and a minute")
    ] = None,
    tenant: TenantFlag = "demo",
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Publish a task. With --wait the exit code tells the outcome: 0 answered, 3 abstained, 4 failed, 5 waits for review, 6 timed out."""
    if (prompt is None) == (file is None):
        raise typer.BadParameter("give the request with --prompt or with --file")
    text = prompt if prompt is not None else text_of(file or Path())
    allowed = seconds(deadline) if deadline else None
    limit = seconds(patience) if patience else (allowed or POLICY_MAY_ALLOW) + GRACE
    given = named_inputs(inputs or [])
    where = place(f"app-{tenant}", url, credentials)

    async def work() -> tuple[Task, Result | str | None]:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            task = await fleet.submit(
                kind=kind, safety_class=safety_class, prompt=text, inputs=given, key=key, time_allowed=allowed
            )
            return task, await _awaited(task, limit, url) if wait else None

    task, ended = run(work())
    if ended is None:
        as_json({"task_id": task.task_id}) if as_json_ else say(task.task_id)
    elif isinstance(ended, str):
        raise typer.Exit(_unfinished(task.task_id, ended, as_json_=as_json_))
    else:
        raise typer.Exit(show_result(ended, as_json_=as_json_))


async def _awaited(task: Task, patience: float, url: str | None) -> Result | str:
    """Wait for a task's outcome; returns its state instead when a person must decide first, or the time is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    with progress("waiting for the released result"):
        while True:
            try:
                return await task.released(max(0.1, min(LOOK_AFTER, until - loop.time())))
            except NotYet:
                state = await _state(task.task_id, url)
                if state == "waiting" or loop.time() >= until:
                    return state


async def _state(task_id: str, url: str | None) -> str:
    """Return a task's state as the ledger sees it, `open` when it cannot be asked."""
    try:
        return (await ask(StoryAsked(task_id=task_id), Story, url, None)).state
    except ClientError:
        return "open"


def show_result(result: Result, *, as_json_: bool) -> Exit:
    """Print a released result; returns the exit code that its outcome has."""
    outcome, released = result.outcome, result.released
    where = f"task {released.task_id}, ledger entry {released.ledger.index}"
    if as_json_:
        position = {"task_id": released.task_id, "index": released.ledger.index, "because": released.because}
        as_json(position | outcome.model_dump(mode="json"))
    elif isinstance(outcome, Abstained | Failed):
        say(f"{outcome.status} ({outcome.code}): {outcome.detail}\n  {where}")
    else:
        say(f"{result.answer}\n  {where}, tier {outcome.tier}, lane {outcome.lane}")
    match outcome:
        case Abstained():
            return Exit.ABSTAINED
        case Failed():
            return Exit.FAILED
        case Answered():
            return Exit.ANSWERED
        case _:
            assert_never(outcome)


def _unfinished(task_id: str, state: str, *, as_json_: bool) -> Exit:
    text = "waits for a person's review" if state == "waiting" else "has no outcome yet; it goes on"
    as_json({"task_id": task_id, "status": state}) if as_json_ else say(f"{task_id} {text}")
    return Exit.WAITING_FOR_REVIEW if state == "waiting" else Exit.TIMED_OUT


@app.command("list")
def list_tasks(
    state: Annotated[str | None, typer.Option("--state", help="answered, abstained, failed, waiting or open")] = None,
    kind: Annotated[str | None, typer.Option("--kind")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 20,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Open and finished tasks, newest first."""
    tasks = asked(checked(TasksAsked, state=state, kind=kind, limit=limit), Tasks, url, credentials)
    if as_json_:
        as_json(tasks)
        return
    rows = [(t.task_id, t.kind, t.safety_class, t.state, t.detail, t.submitted_at) for t in tasks.tasks]
    table(("task", "kind", "class", "state", "detail", "submitted"), rows, empty="no tasks")


@app.command()
def status(
    task_id: TaskArgument, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """Where a task stands."""
    story = story_of(task_id, url, credentials)
    last = story.events[-1] if story.events else None
    known = {"task_id": task_id, "state": story.state, "events": len(story.events), "last": last.type if last else None}
    if as_json_:
        as_json(known)
    else:
        say(f"{task_id}: {story.state}, {len(story.events)} entries, last {known['last']}")


@app.command()
def result(
    task_id: TaskArgument,
    save: Annotated[Path | None, typer.Option("--save", help="Write result and proof to a file.")] = None,
    patience: Annotated[str, typer.Option("--wait", help="How long to wait for it.")] = "5s",
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """The released result; --save keeps it with its proof, to be verified offline. Exit codes as in `task submit --wait`."""
    tenant = tenant_of(checked_task_id(task_id))
    where = place(f"app-{tenant}", url, credentials)
    limit = seconds(patience)

    async def work() -> Result | str:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            try:
                found = await fleet.result_of(task_id, limit)
            except NotYet:
                return await _state(task_id, url)
            return await fleet.prove(found) if save else found

    found = run(work())
    if isinstance(found, str):
        raise typer.Exit(_unfinished(task_id, found, as_json_=as_json_))
    if save:
        found.save(save)
    raise typer.Exit(show_result(found, as_json_=as_json_))


@app.command()
def story(
    task_id: TaskArgument, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """Every event of a task, with reason and ledger position."""
    show_story(story_of(task_id, url, credentials), as_json_=as_json_)


@app.command()
def explain(
    task_id: TaskArgument, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """Why this tier, which rule decided, and what would change it."""
    question = StoryAsked(task_id=checked_task_id(task_id))
    where = place(AUDITOR, url, credentials)

    async def work() -> list[str]:
        async with connected(where.url, credentials=where.credentials) as connection:
            found = await connection.ask(question, Story)
            return explanation(found, await policy_of(found, connection))

    lines = run(work())
    if as_json_:
        as_json({"task_id": task_id, "explanation": lines})
        return
    for line in lines:
        say(line)
