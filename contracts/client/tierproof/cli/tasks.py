"""`tierproof task`: submit, list, status, result, story, explain."""

import re
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from tierproof_contracts.questions import Question, Story, StoryAsked, Tasks, TasksAsked
from tierproof_contracts.task import Abstained, Failed

from tierproof.cli.explain import explanation
from tierproof.cli.output import as_json, console, run, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place
from tierproof.connection import AnswerT, connect, connected
from tierproof.errors import ClientError, NotYet, RefusedByLedger
from tierproof.fleet import Task
from tierproof.results import Result

app = typer.Typer(help="Submit tasks and see what became of them.", no_args_is_help=True)
TenantFlag = Annotated[str, typer.Option("--tenant", help="The tenant whose program this is.")]
TaskArgument = Annotated[str, typer.Argument(help="The task's id.", metavar="TASK")]
LONGEST_WAIT = 3600.0


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
    kind: Annotated[str, typer.Option("--kind", help="Task kind, e.g. reg-doc-drafting.")],
    safety_class: Annotated[str, typer.Option("--class", help="IEC 62304 class of the affected artifact: A, B or C.")],
    prompt: Annotated[str | None, typer.Option("--prompt", help="The request itself.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file that holds the request.")] = None,
    inputs: Annotated[list[str] | None, typer.Option("--input", help="A named input: name=path. Repeat it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same key is the same task.")] = None,
    deadline: Annotated[str | None, typer.Option("--deadline", help="Time allowed, e.g. 60s.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the released result.")] = False,
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
    given = named_inputs(inputs or [])
    where = place(f"app-{tenant}", url, credentials)

    async def work() -> tuple[Task, Result | None]:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            task = await fleet.submit(
                kind=kind, safety_class=safety_class, prompt=text, inputs=given, key=key, time_allowed=allowed
            )
            if not wait:
                return task, None
            with console.status("waiting for the released result"):
                try:
                    return task, await task.released((allowed or LONGEST_WAIT) + 60 if allowed else 150)
                except NotYet:
                    return task, None

    task, result = run(work())
    if not wait:
        as_json({"task_id": task.task_id}) if as_json_ else console.print(task.task_id)
        return
    raise typer.Exit(
        show_result(task.task_id, result, as_json_=as_json_) if result else _unfinished(task.task_id, as_json_=as_json_)
    )


def show_result(task_id: str, result: Result, *, as_json_: bool) -> Exit:
    """Print a released result; returns the exit code that its outcome has."""
    outcome = result.outcome
    if as_json_:
        as_json(
            {
                "task_id": task_id,
                "index": result.released.ledger.index,
                "because": result.released.because,
                **outcome.model_dump(mode="json"),
            }
        )
    elif isinstance(outcome, Abstained | Failed):
        console.print(
            f"{outcome.status} ({outcome.code}): {outcome.detail}\n  task {task_id}, ledger entry {result.released.ledger.index}"
        )
    else:
        console.print(result.answer, markup=False)
        console.print(
            f"  task {task_id}, tier {outcome.tier}, lane {outcome.lane}, ledger entry {result.released.ledger.index}"
        )
    match outcome:
        case Abstained():
            return Exit.ABSTAINED
        case Failed():
            return Exit.FAILED
    return Exit.ANSWERED


def _unfinished(task_id: str, *, as_json_: bool) -> Exit:
    try:
        state = _story(task_id).state
    except ClientError:
        state = "open"
    text = "waits for a person's review" if state == "waiting" else "has no outcome yet"
    as_json({"task_id": task_id, "status": state}) if as_json_ else console.print(f"{task_id} {text}")
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
    question = TasksAsked.model_validate({"state": state, "kind": kind, "limit": limit})
    tasks = asked(question, Tasks, url, credentials)
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
    story = _story(task_id, url, credentials)
    last = story.events[-1] if story.events else None
    if as_json_:
        as_json(
            {"task_id": task_id, "state": story.state, "events": len(story.events), "last": last.type if last else None}
        )
    else:
        console.print(f"{task_id}: {story.state}, {len(story.events)} entries, last {last.type if last else 'none'}")


@app.command()
def result(
    task_id: TaskArgument,
    save: Annotated[Path | None, typer.Option("--save", help="Write result and proof to a file.")] = None,
    patience: Annotated[str, typer.Option("--wait", help="How long to wait for it.")] = "5s",
    tenant: TenantFlag = "demo",
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """The released result; --save keeps it with its proof, to be verified offline."""
    where = place(f"app-{tenant}", url, credentials)
    limit = seconds(patience)

    async def work() -> Result | None:
        async with connect(where.url, credentials=where.credentials, tenant=tenant) as fleet:
            try:
                found = await fleet.result_of(task_id, limit)
            except NotYet:
                return None
            return await fleet.prove(found) if save else found

    found = run(work())
    if found is None:
        raise typer.Exit(_unfinished(task_id, as_json_=as_json_))
    if save:
        found.save(save)
    raise typer.Exit(show_result(task_id, found, as_json_=as_json_))


@app.command()
def story(
    task_id: TaskArgument, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """Every event of a task, with reason and ledger position."""
    show_story(_story(task_id, url, credentials), as_json_=as_json_)


def show_story(found: Story, *, as_json_: bool) -> None:
    """Print a task's life."""
    if as_json_:
        as_json(found)
        return
    rows = [
        (event.index, event.type or event.kind, event.source or "ledger", reason_of(event.data))
        for event in found.events
    ]
    table(("entry", "event", "from", "reason"), rows, empty="no entries")
    console.print(f"{found.task_id}: {found.state}")


def reason_of(data: dict[str, Any]) -> str:
    """Return the sentence that explains an event."""
    if isinstance(data.get("because"), str):
        return str(data["because"])
    attempts = (data.get("slip") or {}).get("attempts") if isinstance(data.get("slip"), dict) else None
    if attempts and "prompt" in data:
        return f"tier {attempts[-1]['tier']}, {attempts[-1]['why']}: {attempts[-1]['rule']}"
    for name in ("verdict", "settlement"):
        said = data.get(name)
        if isinstance(said, dict):
            return _said(said)
    if "deadline" in data:
        return f"deadline {data['deadline']}"
    return f"{data.get('kind', '')} class {data.get('safety_class', '')}".strip() if "kind" in data else ""


def _said(said: dict[str, Any]) -> str:
    findings = said.get("findings") or []
    codes = sorted({finding["code"] for answer in findings for finding in answer})
    extra = said.get("reason") or said.get("code") or ", ".join(codes)
    return f"{said['status']}{f': {extra}' if extra else ''}"


@app.command()
def explain(
    task_id: TaskArgument, url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False
) -> None:
    """Why this tier, which rule decided, and what would change it."""
    lines = explanation(_story(task_id, url, credentials))
    if as_json_:
        as_json({"task_id": task_id, "explanation": lines})
        return
    for line in lines:
        console.print(line, markup=False)


def _story(task_id: str, url: str | None = None, credentials: Path | None = None) -> Story:
    if not re.fullmatch(r"[a-z0-9-]{1,32}_[0-9a-f]{32}", task_id):
        raise RefusedByLedger("bad-question", f"{task_id!r} is no task id: it looks like demo_ and 32 hex digits")
    return asked(StoryAsked(task_id=task_id), Story, url, credentials)


def asked(
    question: Question, answer: type[AnswerT], url: str | None, credentials: Path | None, patience: float | None = None
) -> AnswerT:
    """Ask the ledger as auditor."""
    where = place("auditor", url, credentials)

    async def work() -> AnswerT:
        async with connected(where.url, credentials=where.credentials) as connection:
            return await connection.ask(question, answer, patience)

    return run(work())
