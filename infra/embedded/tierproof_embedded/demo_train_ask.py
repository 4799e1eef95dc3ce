"""A new adapter at work: sealed items as tasks through the whole stack, one looked at closely, and the bare base beside them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import tierproof
from tierproof_contracts.questions import Story, StoryAsked, VerifyAsked, VerifyReport
from tierproof_domains.__main__ import domain_of
from tierproof_domains.item import Item
from tierproof_proofs.release import Verified

from tierproof_embedded.demo import doors, submit_task, verified_offline
from tierproof_embedded.demo_report import Line, line_of
from tierproof_embedded.demo_tasks import DemoTask
from tierproof_embedded.demo_without import Bare, without_adapters
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One task and what became of it: `wrong` is what the domain's own check finds, which is no part of the product."""

    item: Item
    line: Line
    answer: str | None
    wrong: tuple[str, ...]

    @property
    def at_once(self) -> bool:
        """Whether the first attempt passed."""
        return bool(self.line.passed) and self.line.passed[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the stack showed: every task in order (the first one was verified offline), the base without adapter, the ledger."""

    answers: tuple[Answered, ...]
    verified: Verified
    bare: Bare
    report: VerifyReport


async def examined(stack: Stack, items: Sequence[Item], patience: float) -> Examined:
    """Submit the first item alone, then the others together, then ask the bare base. Raises StepFailed when one never ends."""
    tasks = [task_of(item, patience) for item in items]
    until = time.monotonic() + patience
    async with doors(stack) as (fleet, auditor, _):
        first = await submit_task(fleet, tasks[0])
        results = [await _released(first, until)]
        verified = await verified_offline(fleet, results[0], stack)
        others = [await submit_task(fleet, task) for task in tasks[1:]]
        results += await asyncio.gather(*(_released(each, until) for each in others))
        stories = [await auditor.ask(StoryAsked(task_id=each.task_id), Story) for each in (first, *others)]
        report = await auditor.ask(VerifyAsked(), VerifyReport, patience)
    answers = tuple(
        Answered(item=item, line=line_of(task, story), answer=result.answer, wrong=_wrong(item, result.answer))
        for item, task, story, result in zip(items, tasks, stories, results, strict=True)
    )
    bare = await without_adapters(stack, tasks, patience)
    return Examined(answers=answers, verified=verified, bare=bare, report=report)


def task_of(item: Item, patience: float) -> DemoTask:
    """Return a sealed item as a task of class A, which waits for no person."""
    return DemoTask(
        title=f"{item.family}, {item.phrasing} words",
        kind=item.kind,
        safety_class="A",
        prompt=item.prompt,
        inputs=dict(item.inputs),
        time_allowed=patience,
    )


async def _released(task: tierproof.Task, until: float) -> tierproof.Result:
    try:
        return await task.released(until - time.monotonic())
    except tierproof.NotYet as error:
        raise StepFailed(step="waiting for a released result", said=error.diagnosis()) from error


def _wrong(item: Item, answer: str | None) -> tuple[str, ...]:
    return ("there is no answer",) if answer is None else tuple(domain_of(item.kind).check(item, answer))
