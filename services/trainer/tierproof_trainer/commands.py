"""`tierproof train lock|run|reproduce|show|verify|request`: training from the command line.

Exit codes: 0 done, 1 refused or different, 2 misused.
"""

import asyncio
import contextlib
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tierproof.cli.output import answer
from tierproof.cli.places import CredentialsFlag, UrlFlag, place
from tierproof_bus import logs, requests
from tierproof_bus.settings import BusSettings
from tierproof_contracts import subjects
from tierproof_contracts.envelope import Event
from tierproof_contracts.train_lock import Stage
from tierproof_contracts.training import TrainingCompletedV1, TrainingFailedV1, TrainingRequestedV1
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Verifier, public_base64_of

from tierproof_trainer import curve, lock_file, locking, provenance, training
from tierproof_trainer import reproduce as reproducing
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.jobs import Tell
from tierproof_trainer.settings import TrainerSettings

app = typer.Typer(help="Training from locks: lock, run, reproduce, show, verify, request.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
LockFile = Annotated[Path, typer.Argument(help="A train-lock.yaml.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--dataset-key", help="Who signs snapshots: raw Ed25519 key in base64, or a key file; repeatable."),
]
REQUESTS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:training-request")
LINE_EVERY = 10  # steps
CURVE = "loss.svg"
ENGINEER = "ml-engineer"


@app.command("lock")
def lock_command(
    snapshot: Annotated[Path, typer.Argument(help="Folder of a snapshot, as `tierproof data build` printed it.")],
    to: Annotated[Path, typer.Option("--to", help="Lock file to write.")] = Path("train-lock.yaml"),
    name: Annotated[str, typer.Option("--name", help="Name of the adapter.")] = "adapter",
    stage: Annotated[str, typer.Option("--stage", help="dapt, sft, dpo, orpo, task-lora or heads.")] = "task-lora",
    base: Annotated[str, typer.Option("--base", help="An approved base.")] = "SmolLM2-135M-Instruct",
    suite: Annotated[str, typer.Option("--suite", help="The suite that will judge.")] = "embedded-fw-c-1",
    begin_from: Annotated[Path | None, typer.Option("--from", help="Signed artifact of the stage before.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="member.part=value; repeatable.")] = None,
    keys: Keys = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write a whole lock: every input of a training, fixed before it begins."""
    if stage not in Stage.__args__:  # type: ignore[attr-defined]  # a Literal
        raise TrainingRefused("bad-lock", f"--stage {stage}", f"choose {', '.join(Stage.__args__)}")  # type: ignore[attr-defined]
    settings = _settings(keys)
    wanted = locking.Wanted(
        name=name, stage=stage, base=base, suite=suite, begin_from=begin_from, changed=locking.changes(change or [])  # type: ignore[arg-type]  # seen above
    )  # fmt: skip
    found = locking.locked(snapshot, wanted, locking.policy_from(settings.policy), settings)
    to.write_text(lock_file.written(found))
    answer({"lock": found.digest(), "file": str(to)}, [f"{found.digest()}  {to}"], as_json=as_json)


@app.command("run")
def run_command(lock: LockFile, keys: Keys = None, *, as_json: AsJson = False) -> None:
    """Train a lock here, or show what it gave before; the artifact is signed and its loss drawn."""
    settings = _settings(keys)
    asked = lock_file.lock_from(lock)
    with _progress() as tell:
        done = training.train(asked, locking.policy_from(settings.policy), settings, tell)
    told = done.job.progress
    (done.job.folder / CURVE).write_text(curve.svg_of(told, asked.name))
    said = {
        "lock": asked.digest(), "artifact": done.artifact, "folder": str(done.folder), "steps": done.job.steps, "tokens": done.job.tokens,
        "first_loss": told[0]["loss"], "last_loss": told[-1]["loss"], "cpu_seconds": told[-1]["cpu_seconds"],
        "resumed": done.job.resumed, "curve": str(done.job.folder / CURVE),
    }  # fmt: skip
    lines = [
        f"{done.artifact}  {done.folder}",
        f"  {done.job.steps} steps, loss {told[0]['loss']:.3f} -> {told[-1]['loss']:.3f}, {told[-1]['cpu_seconds']:.0f} CPU seconds",
        f"  signed: {provenance.PROVENANCE} names {asked.digest()}",
    ]
    answer(said, lines, as_json=as_json)


@app.command("reproduce")
def reproduce_command(
    lock: LockFile,
    calibrate: Annotated[
        int, typer.Option("--calibrate", min=0, help="Train with 1..N threads, sign bounds, lock them.")
    ] = 0,
    keys: Keys = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Train a lock once more, elsewhere, and compare the tensors; or measure beforehand by how much they may differ."""
    with tempfile.TemporaryDirectory(prefix="tierproof-again-") as scratch:
        settings = _settings(keys)
        asked, policy = lock_file.lock_from(lock), locking.policy_from(settings.policy)
        with _progress() as tell:
            if calibrate:
                counts = range(1, calibrate + 1)
                bounded, path = reproducing.calibrate(asked, counts, policy, settings, Path(scratch), tell)
                lock.write_text(lock_file.written(bounded))
                said = {"lock": bounded.digest(), "bounds": bounded.reproduction.bounds, "file": str(path)}
                answer(said, [f"{bounded.digest()}  {lock}, bounds in {path}"], as_json=as_json)
                return
            found, record = reproducing.reproduce(asked, policy, settings, Path(scratch), tell)
    worst = max(found.differing.values(), default=0.0)
    outcome: dict[str, Any] = {
        "ok": found.reproduced,
        "lock": asked.digest(),
        "tensors": found.tensors,
        "differing": len(found.differing),
    }
    word = "reproduced" if found.reproduced else "NOT reproduced"
    line = f"{word}: {found.tensors} tensors, {len(found.differing)} differ, by {worst:g} at most, on {asked.environment.instruction_set}"
    answer({**outcome, "record": str(record)}, [line, f"  {record}"], as_json=as_json)
    if not found.reproduced:
        raise typer.Exit(1)


@app.command("show")
def show_command(lock: LockFile, *, as_json: AsJson = False) -> None:
    """Show a lock and what became of it here."""
    asked = lock_file.lock_from(lock)
    settings = _settings(None)
    folder = settings.jobs / asked.digest().removeprefix("sha256:")
    signed = (folder / provenance.SIGNED / provenance.PROVENANCE).is_file()
    state = "trained and signed" if signed else "begun" if folder.is_dir() else "not trained here"
    said = {"digest": asked.digest(), "state": state, "lock": asked.model_dump(mode="json", exclude_none=True)}
    answer(
        said, [f"{asked.digest()}: {asked.stage} of {asked.name}, {state}", lock_file.written(asked)], as_json=as_json
    )


@app.command("verify")
def verify_command(
    artifact: Annotated[Path, typer.Argument(help="Folder of a signed artifact.")],
    signer: Annotated[
        list[str], typer.Option("--signer", help="Whose signature is believed: key in base64, or a key file.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Hold an artifact against its signed provenance: every file of it, and the lock. What lies beside is named."""
    trusted = {f"signer-{at}": Ed25519Verifier.from_base64(key) for at, key in enumerate(_keys(signer))}
    try:
        said, of = provenance.verified(artifact, trusted, nothing_else=False)
    except (ValueError, OSError, ProofError) as error:
        because = error.diagnosis() if isinstance(error, ProofError) else str(error)
        mend = "name a folder that `tierproof train run` signed, and the key of who signed it"
        raise TrainingRefused("bad-statement", f"{artifact}: {because}", mend) from None
    beside = provenance.unsigned(artifact, said)
    word = {
        "files": dict(said.subjects),
        "unsigned": beside,
        "lock": of.digest(),
        "dataset": of.dataset.uid,
        "base": of.parent.weights,
    }
    lines = [f"{of.digest()}: {len(said.subjects)} files are as their signed provenance says"]
    lines += [f"  {name}  {digest}" for name, digest in said.subjects.items()]
    lines += [f"  {name}  lies beside, unsigned" for name in beside]
    answer(word, lines, as_json=as_json)


@app.command("request")
def request_command(
    lock: LockFile,
    by: Annotated[str, typer.Option("--by", help="Who asks.")] = ENGINEER,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for what becomes of it.")] = 0,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask the trainer service for a training. The same lock is asked for once, however often this is called."""
    lock_digest = (asked := lock_file.lock_from(lock)).digest()
    logs.errors_only()
    where = place(ENGINEER, url, credentials)
    outcomes: dict[str, type[Event]] = {
        subjects.training_completed(lock_digest): TrainingCompletedV1,
        subjects.training_failed(lock_digest, 1): TrainingFailedV1,
    }
    settings = BusSettings(nats_url=where.url, nkey_seed_file=where.credentials)
    request = TrainingRequestedV1(lock=asked, requested_by=by)
    event_id = str(uuid.uuid5(REQUESTS, lock_digest))
    found = asyncio.run(requests.ask(ENGINEER, settings, request, event_id, outcomes, wait=wait))
    words = "asked for" if found.new else "was asked for before"
    said = {"lock": lock_digest, "new": found.new, **found.told(TrainingCompletedV1)}
    answer(said, [f"{lock_digest} {words}", *_lines_of(found.settled)], as_json=as_json)
    if wait and not isinstance(found.settled, TrainingCompletedV1):
        raise typer.Exit(1)


def _lines_of(event: Event | None) -> list[str]:
    match event:
        case TrainingCompletedV1() as done:
            return [f"  {done.artifact}, loss {done.first_loss} -> {done.last_loss}"]
        case TrainingFailedV1() as failed:
            return [f"  {failed.code}: {failed.because}; {failed.mend}"]
        case _:
            return []


def _settings(keys: list[str] | None) -> TrainerSettings:
    settings = TrainerSettings()
    return settings.model_copy(update={"dataset_keys": (*settings.dataset_keys, *_keys(keys or []))})


def _keys(given: list[str]) -> list[str]:
    return [public_base64_of(key) for key in given]


@contextlib.contextmanager
def _progress() -> Iterator[Tell]:
    """Show progress on standard error: a bar on a terminal, a line now and then otherwise. When told to end, so does the training."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with _told(console) as tell:
            yield tell
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _told(console: Console) -> Iterator[Tell]:
    if not console.is_terminal:
        yield lambda line: _line(console, line)
        return
    columns = (TextColumn("loss {task.fields[loss]:.3f}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, loss=0.0)

        def tell(line: dict[str, Any]) -> None:
            if isinstance(line.get("loss"), float):
                bar.update(task, completed=line["step"], total=line["of"], loss=line["loss"])

        yield tell


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)  # the process that trains is stopped on the way out


def _line(console: Console, line: dict[str, Any]) -> None:
    if "died" in line:
        console.print(f"the process ended ({line['died']}); attempt {line['attempt']} of {line['of']}", markup=False)
    elif line.get("step", 0) % LINE_EVERY == 1:
        console.print(f"step {line['step']} of {line['of']}, loss {line['loss']}, {line['seconds']} s", markup=False)
