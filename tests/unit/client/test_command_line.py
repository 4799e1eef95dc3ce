"""Every command has a help text and JSON; a user's mistake is one sentence and an exit code: 2 for wrong usage, 1 for the rest."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
from tierproof.cli.app import build
from tierproof_contracts.audit import Change, History, HistoryRow
from tierproof_contracts.questions import (
    DeadLetter,
    DeadLetters,
    Entries,
    OpenReview,
    Problem,
    Proof,
    Question,
    Reviews,
    Shape,
    Story,
    StoryEvent,
    TaskLine,
    Tasks,
    VerifyReport,
)

Tierproof = Callable[..., Any]
LedgerSays = Callable[[Shape], list[Question]]
ROOT = Path(__file__).resolve().parents[3]
EXAM = str(ROOT / "infra" / "fleet" / "examinations" / "embedded-fw-c-1.sealed")
LOCK = str(ROOT / "infra" / "fleet" / "adapters" / "embedded-fw-c" / "train-lock.yaml")
TASK = f"demo_{'0' * 32}"
SUBMIT = ("task", "submit", "--kind", "reg-doc-drafting", "--class", "A")
ENTRY = StoryEvent(
    index=7,
    kind="event",
    type="task.accepted.v1",
    source="router",
    recorded_at="2026-11-01T12:00:00Z",
    data={"deadline": "2026-11-01T12:01:00Z"},
)
STORY = Story(task_id=TASK, state="open", events=(ENTRY,))
LETTER = DeadLetter(
    index=3,
    service="router",
    reason="unreadable",
    detail="data.kind: [REQ-1] is missing",
    attempts=1,
    stream="TASK",
    sequence=9,
    subject=f"tierproof.task.submitted.v1.demo.{TASK}",
    recorded_at="2026-11-01T12:00:00Z",
)
REVIEW = OpenReview(
    task_id=TASK,
    tenant="demo",
    kind="reg-doc-drafting",
    safety_class="C",
    because="a person confirms",
    tier="s",
    deadline="2026-11-08T12:00:00Z",
    review_request="00000000-0000-5000-8000-000000000000",
    answer_commitment=f"hmac-sha256:{'0' * 64}",
)
HISTORY = History(
    record="document:reviewers",
    rows=(
        HistoryRow(
            index=3,
            time="2026-11-01T12:00:00+00:00",
            recorded_at="2026-11-01T12:00:01+00:00",
            who="registry",
            old="sha256:a",
            new="sha256:b",
            why="\x1b[2J",
            type="policy.published.v1",
            changes=(Change(member="reviewers.ada.kinds", old=None, new=["x"]),),
        ),
    ),
    size=9,
)
LINE = TaskLine(index=1, task_id=TASK, submitted_at="2026-11-01T12:00:00Z", state="open")


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that call it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, (*words, name))


TREE: dict[str, Any] = {" ".join(words): command for words, command in commands(typer.main.get_command(build()))}


def test_the_tree_is_the_one_that_people_know() -> None:
    assert TREE.keys() >= {
        *("up", "down", "logs", "doctor", "demo", "listen", "result verify", "model revoke"),
        *("task submit", "task list", "task status", "task result", "task story", "task explain"),
        *("ledger query", "ledger verify", "ledger proof", "ledger story", "ledger history", "ledger export"),
        *("review list", "review decide", "dead list", "dead show", "dead redrive"),
    }


@pytest.mark.parametrize("words", TREE)
def test_every_command_has_help_and_json(words: str) -> None:
    command = TREE[words]
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert "--json" in flags
    assert command.help, "a command says in a sentence what it does"
    assert any("--help" in option.opts for option in [command.get_help_option(click.Context(command))] if option)


@pytest.mark.parametrize("words", ["", "task", "task submit", "ledger verify", "up"])
def test_help_is_shown(tierproof: Tierproof, words: str) -> None:
    ran = tierproof(*words.split(), "--help")
    assert ran.code == 0
    assert "Usage" in ran.out


WRONG_USAGE: dict[str, tuple[str, ...]] = {
    "no such command": ("nonsense",),
    "no such flag": ("task", "list", "--nonsense"),
    "neither prompt nor file": SUBMIT,
    "both prompt and file": (*SUBMIT, "--prompt", "x", "--file", "y"),
    "a duration": (*SUBMIT, "--prompt", "x", "--deadline", "soon"),
    "an input without a path": (*SUBMIT, "--prompt", "x", "--input", "schema"),
    "no class": ("task", "submit", "--kind", "code-review", "--prompt", "x"),
    "a limit": ("task", "list", "--limit", "0"),
    "a position": ("ledger", "proof", "-1"),
    "a meaning": ("review", "decide", TASK, "--confirm", "--reason", "x", "--meaning", "fun"),
    "no decision": ("review", "decide", TASK, "--reason", "x"),
}


@pytest.mark.parametrize("arguments", WRONG_USAGE.values(), ids=WRONG_USAGE.keys())
def test_wrong_usage_exits_2(tierproof: Tierproof, arguments: tuple[str, ...]) -> None:
    ran = tierproof(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error" in ran.err


NO_STACK: dict[str, tuple[str, ...]] = {
    words: (*words.split(), *arguments)
    for words, arguments in {
        "task submit": (*SUBMIT[2:], "--prompt", "x"),
        "task list": (),
        "task status": (TASK,),
        "task result": (TASK,),
        "task story": (TASK,),
        "task explain": (TASK,),
        "listen": (),
        "ledger query": (),
        "ledger verify": (),
        "ledger proof": ("1",),
        "ledger story": (TASK,),
        "ledger history": ("log-key",),
        "ledger export": ("--to", "pack"),
        "ledger backup": ("--to", "backup"),
        "ledger holds": (),
        "ledger hold": ("--tenant", "demo", "--reason", "x"),
        "ledger unhold": ("00000000-0000-4000-8000-000000000000", "--reason", "x"),
        "ledger erase": ("--tenant", "demo", "--reason", "x", "--yes"),
        "review list": (),
        "review decide": (TASK, "--confirm", "--reason", "x"),
        "dead list": (),
        "dead show": ("1",),
        "dead redrive": ("1",),
        "model revoke": (f"sha256:{'0' * 64}", "--reason", "x"),
        "data request": ("records.jsonl", "--sealed", EXAM),
        "train request": (LOCK,),
        "down": (),
    }.items()
}


@pytest.mark.parametrize("arguments", NO_STACK.values(), ids=NO_STACK.keys())
def test_without_a_stack_a_sentence_says_so(tierproof: Tierproof, home: Path, arguments: tuple[str, ...]) -> None:
    ran = tierproof(*arguments)
    assert (ran.code, ran.out) == (1, "")
    assert str(home) in ran.err
    assert "Traceback" not in ran.err
    said = tierproof(*arguments, "--json", *(["--yes"] if arguments[:2] == ("review", "decide") else []))
    assert (said.code, said.value["ok"]) == (1, False)
    assert str(home) in said.value["diagnosis"]


def test_a_defect_is_not_taken_for_a_refusal(tierproof: Tierproof, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("tierproof_embedded.commands.logs_of", broken)
    with pytest.raises(ValueError, match="a defect"):
        tierproof("logs")


def test_all_commands_that_need_a_stack_are_covered() -> None:
    assert TREE.keys() - NO_STACK.keys() == {
        *("up", "logs", "doctor", "demo", "demo-train", "result verify"),
        *("ledger drill", "ledger restore"),  # they start what they need
        "ledger rotate-key",  # prepares the next start
        *("data build", "data inspect", "data audit", "data records", "data seal"),  # files alone
        *("train lock", "train run", "train reproduce", "train show", "train verify"),  # tests of the trainer
    }


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "a request that is no file": ((*SUBMIT, "--file", "absent.txt"), "absent.txt"),
    "an input that is no file": ((*SUBMIT, "--prompt", "x", "--input", "schema=absent.json"), "absent.json"),
    "a task id": (("task", "status", "nonsense"), "nonsense"),
    "a task id with a tenant of many letters": (("task", "story", f"{'a' * 40}_{'0' * 32}"), "aaaa_0000"),
    "a task id to explain": (("task", "explain", f"{TASK}0"), "demo_0000"),
    "a task id of a result": (("task", "result", "demo"), "task id"),
    "a task id to review": (("review", "decide", "nonsense", "--confirm", "--reason", "x"), "task id"),
    "a state": (("task", "list", "--state", "nonsense"), "state"),
    "a kind": (("task", "list", "--kind", "No Kind"), "kind"),
    "a time": (("ledger", "query", "--since", "yesterday"), "since"),
    "a task id to search": (("ledger", "query", "--task", "nonsense"), "task_id"),
    "a record": (("ledger", "history", "nonsense"), "document:routing-policy"),
    "a moment": (("ledger", "story", TASK, "--as-of", "yesterday"), "as_of"),
    "a kind of entry": (("ledger", "query", "--kind", "nonsense"), "kind"),
    "a model to export": (("ledger", "export", "--to", "x", "--model", "nonsense"), "model"),
    "a class to search": (("ledger", "query", "--class", "D"), "safety_class"),
    "a digest": (("model", "revoke", "sha256:0", "--reason", "x"), "digest"),
    "a result that is not there": (("result", "verify", "absent.json"), "absent.json"),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_a_mistake_is_named_without_a_traceback(tierproof: Tierproof, arguments: tuple[str, ...], named: str) -> None:
    ran = tierproof(*arguments)
    assert ran.code in {1, 2}
    assert ran.out == ""
    assert named in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{}", '{"format": "other"}', '{"format": "tierproof result v1", "event": "?"}', "\x00\xff"],
)
def test_a_file_that_is_no_result_is_refused(tierproof: Tierproof, tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content, encoding="latin-1")
    ran = tierproof("result", "verify", "result.json")
    assert (ran.code, ran.out) == (1, "")
    assert "result.json" in ran.err


def test_a_text_that_is_no_text_is_refused(tierproof: Tierproof, tmp_path: Path) -> None:
    (tmp_path / "request.bin").write_bytes(b"\xff\xfe\x00")
    ran = tierproof(*SUBMIT, "--file", "request.bin")
    assert (ran.code, "request.bin" in ran.err) == (1, True)


JSON: dict[str, tuple[tuple[str, ...], Shape, dict[str, Any]]] = {
    "task list": (("task", "list"), Tasks(tasks=(LINE,)), {"tasks": [LINE.model_dump(exclude_none=True)]}),
    "task status": (
        ("task", "status", TASK),
        STORY,
        {"task_id": TASK, "state": "open", "events": 1, "last": "task.accepted.v1"},
    ),
    "task story": (("task", "story", TASK), STORY, STORY.model_dump(mode="json", exclude_none=True)),
    "ledger story": (("ledger", "story", TASK), STORY, STORY.model_dump(mode="json", exclude_none=True)),
    "ledger query": (("ledger", "query"), Entries(entries=(), size=9), {"entries": [], "size": 9, "more": False}),
    "ledger proof": (
        ("ledger", "proof", "7"),
        Proof(index=7, entry="e30=", proof="c2sp"),
        {"index": 7, "entry": "e30=", "proof": "c2sp"},
    ),
    "ledger history": (("ledger", "history", "log-key"), HISTORY, HISTORY.model_dump(mode="json", exclude_none=True)),
    "ledger query to the end": (
        ("ledger", "query", "--all"),
        Entries(entries=(ENTRY, ENTRY), size=9),
        {"entries": [ENTRY.model_dump(exclude_none=True)] * 2, "size": 9, "more": False},
    ),
    "no entry to the end": (
        ("ledger", "query", "--all"),
        Entries(entries=(), size=0),
        {"entries": [], "size": 0, "more": False},
    ),
    "review list": (("review", "list"), Reviews(reviews=()), {"reviews": []}),
    "dead list": (("dead", "list"), DeadLetters(letters=(LETTER,)), {"letters": [LETTER.model_dump()]}),
}


@pytest.mark.parametrize(("arguments", "answer", "expected"), JSON.values(), ids=JSON.keys())
def test_json_is_the_answer_of_the_contract(
    tierproof: Tierproof, ledger_says: LedgerSays, arguments: tuple[str, ...], answer: Shape, expected: dict[str, Any]
) -> None:
    ledger_says(answer)
    ran = tierproof(*arguments, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.value == expected


PEOPLE: dict[str, tuple[tuple[str, ...], Shape, tuple[str, ...]]] = {
    "tasks": (("task", "list"), Tasks(tasks=(LINE,)), (TASK, "open")),
    "no tasks": (("task", "list"), Tasks(tasks=()), ("no tasks",)),
    "story": (("task", "story", TASK), STORY, ("7", "task.accepted.v1", "router", "deadline 2026-11-01T12:01:00Z")),
    "status": (("task", "status", TASK), STORY, (f"{TASK}: open, 1 entries, last task.accepted.v1",)),
    "entries": (("ledger", "query"), Entries(entries=(ENTRY,), size=9), ("task.accepted.v1",)),
    "entries before the last": (
        ("ledger", "query"),
        Entries(entries=(ENTRY,), size=9, more=True),
        ("--after 7 --as-of 9",),
    ),
    "entries to the end": (("ledger", "query", "--all"), Entries(entries=(ENTRY,), size=9), ("task.accepted.v1",)),
    "history": (
        ("ledger", "history", "document:reviewers"),
        HISTORY,
        ("registry", "sha256:b", "reviewers.ada.kinds", '["x"]', "\\x1b[2J"),
    ),
    "reviews": (("review", "list"), Reviews(reviews=(REVIEW,)), (TASK, "a person confirms")),
    "dead letters, with what looks like markup": (
        ("dead", "list"),
        DeadLetters(letters=(LETTER,)),
        ("data.kind: [REQ-1] is missing", "TASK/9"),
    ),
}


@pytest.mark.parametrize(("arguments", "answer", "shown"), PEOPLE.values(), ids=PEOPLE.keys())
def test_people_read_tables(
    tierproof: Tierproof, ledger_says: LedgerSays, arguments: tuple[str, ...], answer: Shape, shown: tuple[str, ...]
) -> None:
    ledger_says(answer)
    ran = tierproof(*arguments)
    assert ran.code == 0
    assert all(part in ran.out for part in shown), ran.out


@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_verification_exits_1_and_names_the_entry(
    tierproof: Tierproof, ledger_says: LedgerSays, flags: tuple[str, ...]
) -> None:
    sound = VerifyReport(entries=9, root="ab", checkpoints=2, seconds_milli=10, problems=())
    ledger_says(sound)
    assert tierproof("ledger", "verify", *flags).code == 0
    problems = (Problem(index=4, what="[/hash] differs"), Problem(what="no checkpoint"))
    ledger_says(sound.model_copy(update={"problems": problems}))
    ran = tierproof("ledger", "verify", *flags)
    assert ran.code == 1
    if flags:
        assert ran.value["problems"][0] == {"index": 4, "what": "[/hash] differs"}
    else:
        assert "entry 4: [/hash] differs" in ran.out
        assert "the log: no checkpoint" in ran.out
        assert "NOT verified" in ran.out


def test_a_proof_is_written_with_the_entry_beside_it(
    tierproof: Tierproof, ledger_says: LedgerSays, tmp_path: Path
) -> None:
    ledger_says(Proof(index=7, entry="e30=", proof="c2sp"))
    assert tierproof("ledger", "proof", "7", "--out", "seven.tlog-proof").code == 0
    assert (tmp_path / "seven.tlog-proof").read_text() == "c2sp"
    assert (tmp_path / "seven.entry").read_bytes() == b"{}"
    ran = tierproof("ledger", "proof", "7", "--out", "no/such/folder/x")
    assert (ran.code, "no/such/folder/x" in ran.err) == (1, True)


def test_conditions_reach_the_question(tierproof: Tierproof, ledger_says: LedgerSays) -> None:
    asked = ledger_says(Tasks(tasks=()))
    tierproof("task", "list", "--state", "waiting", "--kind", "code-review", "--limit", "3")
    assert json.loads(asked[0].model_dump_json(exclude_none=True)) == {
        "state": "waiting",
        "kind": "code-review",
        "limit": 3,
    }
