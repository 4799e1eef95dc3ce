"""The guided run: real tasks through the whole stack, every kind of ending, and the evidence checked at the end."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import tierproof
from tierproof.cli.reviews import signed_decision
from tierproof.connection import Connection, connected
from tierproof_bus.bus import Bus
from tierproof_contracts import subjects
from tierproof_contracts.questions import (
    DeadAsked,
    DeadLetters,
    Reviews,
    ReviewsAsked,
    Story,
    StoryAsked,
    VerifyAsked,
    VerifyReport,
)
from tierproof_proofs.keys import load_key
from tierproof_proofs.release import Verified

from tierproof_embedded.authority import DEMO_REVIEWER
from tierproof_embedded.demo_report import Line, line_of
from tierproof_embedded.demo_tasks import TASKS, DemoTask
from tierproof_embedded.demo_without import Bare, without_adapters
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.stack import Stack

LOOK = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the run has shown: a line per task, dead letters, deep verification, a result verified offline, the base alone."""

    lines: tuple[Line, ...]
    dead: int
    report: VerifyReport
    verified: Verified
    bare: Bare
    seconds: float


@asynccontextmanager
async def doors(stack: Stack) -> AsyncIterator[tuple[tierproof.Fleet, Connection, Bus]]:
    """Open the three doors that a person uses: a tenant's program, an auditor's questions, the review door."""
    async with (
        tierproof.connect(stack.nats_url, credentials=stack.seed_file("app-demo"), actor="demo") as fleet,
        connected(stack.nats_url, credentials=stack.seed_file("auditor")) as auditor,
        Bus.connect("reviewer", stack.bus_settings("reviewer")) as reviewer,
    ):
        yield fleet, auditor, reviewer


async def run_tasks(stack: Stack, patience: float) -> Shown:
    """Submit every task, play the reviewer, and collect what became of them; raises StepFailed when something never ends."""
    began = time.monotonic()
    async with doors(stack) as (fleet, auditor, reviewer):
        submitted = [(task, await submit_task(fleet, task)) for task in TASKS]
        await _poison(fleet.connection)
        until = time.monotonic() + patience
        reviewing = asyncio.create_task(_review(auditor, reviewer, stack.layout.keys / f"{DEMO_REVIEWER}.pem"))
        try:
            results = await asyncio.gather(*(each.released(until - time.monotonic()) for _, each in submitted))
        except tierproof.NotYet as error:
            raise StepFailed(step="waiting for the released results", said=error.diagnosis()) from error
        finally:
            reviewing.cancel()
        dead = await _dead_letters(auditor, until)
        stories = [await auditor.ask(StoryAsked(task_id=each.task_id), Story) for _, each in submitted]
        answered = next((result for result in results if result.answer is not None), results[0])
        verified = await verified_offline(fleet, answered, stack)
        report = await auditor.ask(VerifyAsked(), VerifyReport, patience)
    seconds = time.monotonic() - began
    bare = await without_adapters(stack, TASKS, patience)
    lines = tuple(line_of(task, story) for (task, _), story in zip(submitted, stories, strict=True))
    return Shown(lines=lines, dead=dead, report=report, verified=verified, bare=bare, seconds=seconds)


async def submit_task(fleet: tierproof.Fleet, task: DemoTask) -> tierproof.Task:
    """Submit a task as a tenant's program does."""
    return await fleet.submit(
        kind=task.kind,
        safety_class=task.safety_class,
        prompt=task.prompt,
        inputs=task.inputs,
        time_allowed=task.time_allowed,
    )


async def _poison(connection: Connection) -> None:
    """Publish something that is no submission, on a subject that names no task."""
    subject = subjects.task_submitted("demo", f"poison-{secrets.token_hex(4)}")
    reply = await connection.request(subject, b'{"kind": "reg-doc-drafting", "prompt": ')
    if "error" in json.loads(reply.data):
        raise StepFailed(step="publishing a poisoned message", said=reply.data.decode())


async def _review(auditor: Connection, reviewer: Bus, key_file: Path) -> None:
    """Be the person: confirm what waits, but reject every third answer."""
    key, decided = load_key(key_file), set[str]()
    while True:
        for waiting in (await auditor.ask(ReviewsAsked(), Reviews)).reviews:
            if waiting.task_id in decided:
                continue
            rejected = len(decided) % 3 == 2  # noqa: PLR2004 - every third
            decision = signed_decision(
                waiting,
                key,
                verdict="reject" if rejected else "confirm",
                meaning="approval",
                reason="shown in the demo: not good enough" if rejected else "shown in the demo: read and confirmed",
                signer=DEMO_REVIEWER,
                printed_name="Demo Reviewer",
                at=datetime.now(UTC),
            )
            await reviewer.publish(decision)
            decided.add(waiting.task_id)
        await asyncio.sleep(LOOK)


async def _dead_letters(auditor: Connection, until: float) -> int:
    while True:
        letters = (await auditor.ask(DeadAsked(), DeadLetters)).letters
        if letters:
            return len(letters)
        if time.monotonic() > until:
            raise StepFailed(step="waiting for the poisoned message's dead letter", said="there is none")
        await asyncio.sleep(LOOK)


async def verified_offline(fleet: tierproof.Fleet, result: tierproof.Result, stack: Stack) -> Verified:
    """Fetch a result's proof, keep both as a file, and verify that file with the trust file alone. Raises ProofError."""
    saved = stack.layout.run / "demo-result.json"
    (await fleet.prove(result)).save(saved)
    return tierproof.Result.load(saved).verify(stack.trust)
