"""What the run from records to an answer prints: locked, learned, signed, answered; and why it failed, where it did. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_embedded.demo_train_ask import Answered, Examined
from tierproof_embedded.demo_train_steps import Learned

BARS = "▁▂▃▄▅▆▇█"
COLUMNS = 60
SHORT = 19  # "sha256:" and twelve digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The whole run; seconds by part, and in all."""

    adapter: str
    learned: Learned
    examined: Examined
    seconds: Mapping[str, float]
    total: float


def failures(done: Done) -> list[str]:
    """Return in words why this run has not shown what it was to show; empty when it has."""
    first, bare = done.examined.answers[0], done.examined.bare
    right = sum(each.at_once for each in done.examined.answers)
    faults = {
        f"the held-out task ended as {first.line.outcome}, not answered": first.answer is None,
        f"its answer is wrong: {'; '.join(first.wrong)}": first.answer is not None and bool(first.wrong),
        f"it was not answered by {done.adapter}": done.adapter not in first.line.adapters,
        "an answer was released that the domain's own check finds wrong": any(
            each.wrong for each in done.examined.answers if each.answer is not None
        ),
        f"nothing was learned: {right} right with the adapter, {bare.right} without": right <= bare.right,
        f"the ledger has {len(done.examined.report.problems)} problems": bool(done.examined.report.problems),
    }
    return [words for words, holds in faults.items() if holds]


def told(done: Done) -> list[str]:
    """Return the lines of the report."""
    return [*_locked(done.learned), *_learned(done), *_signed(done), *_answered(done), *_took(done)]


def _locked(known: Learned) -> list[str]:
    lock, snapshot = known.lock["lock"], known.snapshot
    environment, seeds = lock["environment"], lock["seeds"]
    count = known.examination["items"]
    return [
        "",
        f"LOCKED   {known.lock['digest']}",
        f"  learns from   {snapshot['records']} records, snapshot {short(snapshot['uid'])}, signed; none overlaps the {count} sealed items",
        f"  goes out from {lock['parent']['base']} with weights {short(lock['parent']['weights'])}",
        f"  chance from   five seeds: {', '.join(f'{name} {seed}' for name, seed in seeds.items())}",
        f"  runs on       torch {environment['packages']['torch']}, {environment['instruction_set']}, threads: {environment['threads']}",
        f"  judged by     {lock['evaluation']['suite']}, known to the trainer as hashes {short(lock['evaluation']['sealed'])}",
        f"  a second run  must give the same bytes ({lock['reproduction']['kind']})",
    ]


def _learned(done: Done) -> list[str]:
    trained, losses = done.learned.trained, [float(line["loss"]) for line in done.learned.progress]
    rows = [f"                 {_share(done.examined.answers, name)} in {name} words" for name in ("seen", "unseen")]
    bare, answers = done.examined.bare, done.examined.answers
    right = sum(each.at_once for each in answers)
    return [
        "",
        f"LEARNED  {trained['steps']} steps, {trained['tokens']} tokens, {trained['cpu_seconds']:.0f} CPU seconds",
        f"  loss          {losses[0]:.3f} {curve(losses)} {losses[-1]:.3f}   ({trained['curve']})",
        f"  before        {bare.right} of {bare.asked} sealed items right at the first attempt, base alone",
        f"  after         {right} of {len(answers)} with the adapter, through the whole stack:",
        *rows,
    ]


def _share(answers: Sequence[Answered], phrasing: str) -> str:
    found = [each.at_once for each in answers if each.item.phrasing == phrasing]
    return f"{sum(found)} of {len(found)}"


def _signed(done: Done) -> list[str]:
    known = done.learned
    return [
        "",
        f"SIGNED   {known.trained['artifact']}",
        f"  where         {known.trained['folder']}",
        f"  provenance    SLSA v1 in DSSE; {len(known.verified['files'])} files, lock and snapshot are as it says",
        f"  taken         by the stack, by name ({done.adapter}) and digest, after it had checked signature and files",
    ]


def _answered(done: Done) -> list[str]:
    first, report = done.examined.answers[0], done.examined.report
    at, line = done.examined.verified.proven.index, first.line
    asked = ", ".join(f"{tier.upper()} with {name}" for tier, name in zip(line.path, line.adapters, strict=True))
    return [
        "",
        f"ANSWERED {line.task_id}: {line.outcome}; asked: {asked}",
        f"  asked         {first.item.prompt}   (sealed, {first.item.phrasing} words)",
        f"  released      {first.answer}",
        f"  checks        verifier: {line.verdict}; the domain's own: {'; '.join(first.wrong) or 'right'}",
        f"  evidence      ledger entry {at}, verified offline; {report.entries} entries in all, {len(report.problems)} problems",
    ]


def _took(done: Done) -> list[str]:
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in done.seconds.items())
    return ["", f"{done.total:.0f} s from records to answers: {parts}"]


def curve(losses: Sequence[float]) -> str:
    """Return losses as a line of bars, the mean of neighbours where there are more than fit."""
    size = max(1, -(-len(losses) // COLUMNS))
    means = [sum(part) / len(part) for part in (losses[at : at + size] for at in range(0, len(losses), size))]
    most = max(means) or 1.0
    return "".join(BARS[min(len(BARS) - 1, max(0, int(mean / most * len(BARS))))] for mean in means)


def short(digest: str) -> str:
    """Return the start of a digest, for people."""
    return f"{digest[:SHORT]}…"


def as_json(done: Done) -> dict[str, Any]:
    """Return the report for programs."""
    known, seen = done.learned, done.examined
    return {
        "ok": not failures(done),
        "failures": failures(done),
        "locked": known.lock,
        "learned": {
            **known.trained,
            "loss": [line["loss"] for line in known.progress],
            "before": {"asked": seen.bare.asked, "right": seen.bare.right},
            "after": {"asked": len(seen.answers), "right": sum(each.at_once for each in seen.answers)},
        },
        "signed": known.verified,
        "answered": [
            {
                "task_id": each.line.task_id, "outcome": each.line.outcome, "adapters": each.line.adapters, "phrasing": each.item.phrasing,
                "answer": each.answer, "at_once": each.at_once, "wrong": each.wrong,
            }
            for each in seen.answers
        ],
        "ledger": seen.report.model_dump(mode="json"),
        "seconds": {**{name: round(seconds, 1) for name, seconds in done.seconds.items()}, "total": round(done.total, 1)},
    }  # fmt: skip
