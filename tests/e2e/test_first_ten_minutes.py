"""The first ten minutes of a newcomer, each promise a test. The first two, `make demo` and `make test`, are proved by running them."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tierproof as sdk
from tierproof.connection import connected
from tierproof_contracts import subjects
from tierproof_embedded.nats_server import answers_ok
from tierproof_embedded.ports import free_ports
from tierproof_embedded.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
DECIDE = ROOT / "services/router/tierproof_router/decide.py"
POLICY = ROOT / "infra/fleet/routing-policy.json"
MOST_LINES = 150

Submission = Callable[..., Sequence[str]]


def answered(tierproof: Any, submission: Submission, safety_class: str = "A") -> str:
    """Have a task answered; returns its id."""
    said = tierproof("task", "submit", *submission(safety_class), "--wait", "--json")
    assert (said.code, said.value["status"]) == (0, "answered"), said
    return str(said.value["task_id"])


def as_json(arguments: Sequence[str]) -> dict[str, Any]:
    """Return a submission as the data that `dead redrive --file` reads."""
    flags = list(zip(arguments[::2], arguments[1::2], strict=True))
    one = dict(flags)
    named = [value.partition("=") for flag, value in flags if flag == "--input"]
    inputs = {name: Path(path).read_text() for name, _, path in named}
    return {"kind": one["--kind"], "safety_class": one["--class"], "prompt": one["--prompt"], "inputs": inputs}


@pytest.mark.requirement("LED-query")
def test_a_story_tells_a_tasks_life_with_reasons_and_ledger_positions(tierproof: Any, submission: Submission) -> None:
    task_id = answered(tierproof, submission)
    events = tierproof("task", "story", task_id, "--json").value["events"]
    kinds = [event.get("type") for event in events]
    order: tuple[str, ...] = ("task.submitted.v1", "task.accepted.v1", "inference.requested.v1", "inference.settled.v1")
    order += ("verification.requested.v1", "verification.settled.v1", "task.decided.v1")
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
    assert events[-1]["kind"] == "release"
    positions = [event["index"] for event in events]
    assert positions == sorted(set(positions))
    known = {event["event_id"] for event in events if "event_id" in event}
    assert all(event["causation_id"] in known for event in events if "causation_id" in event)

    told = tierproof("task", "story", task_id).out
    assert "tier s, first: reg-doc-drafting/A: ladder starts at s" in told
    assert "every check passed" in told
    assert f"{task_id}: answered" in told
    assert all(str(position) in told for position in positions)


@pytest.mark.requirement("S2-policy")
def test_the_rule_that_chose_the_tier_is_found_in_one_short_pure_file(tierproof: Any, submission: Submission) -> None:
    task_id = answered(tierproof, submission)
    why = tierproof("task", "explain", task_id, "--json").value["explanation"]
    assert why[0] == (
        "attempt 1, tier s: the smallest capable tier answers first (reg-doc-drafting/A: ladder starts at s)"
    )
    rule = json.loads(POLICY.read_text())["kinds"]["reg-doc-drafting"]["classes"]["A"]
    assert any(f"escalations {rule['escalations']}, tokens {rule['tokens']}" in line for line in why)
    sources = [path for path in (ROOT / "services").rglob("*.py") if "ladder starts at" in path.read_text()]
    assert sources == [DECIDE]
    assert len(DECIDE.read_text().splitlines()) < MOST_LINES


@pytest.mark.parametrize(("name", "other"), [("escalations", 1), ("tokens", 1599), ("repairs", 1)])
def test_changing_one_threshold_fails_exactly_the_test_that_names_it(tmp_path: Path, name: str, other: int) -> None:
    for folder in ("tests/unit/router", "infra/fleet"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    policy = tmp_path / "infra/fleet" / POLICY.name
    changed = json.loads(policy.read_text())
    changed["kinds"]["embedded-fw-c"]["classes"]["B"][name] = other
    policy.write_text(json.dumps(changed))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "tests/unit/router"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    failed = [line.split("::", 1)[1].split(" - ")[0] for line in ran.stdout.splitlines() if line.startswith("FAILED")]
    assert failed == [f"test_threshold[embedded-fw-c.B.{name}]"], ran.stdout


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize(
    ("field", "code", "advice"),
    [
        ('    remark: str | None = Field(default=None, description="an optional field")\n', 0, "wrote"),
        ('    remark: str = Field(description="a required field")\n', 1, "Make the field optional"),
    ],
    ids=["optional", "required"],
)
def test_an_optional_field_passes_and_a_required_one_fails_with_advice(
    tmp_path: Path, field: str, code: int, advice: str
) -> None:
    package = shutil.copytree(ROOT / "contracts/events/tierproof_contracts", tmp_path / "tierproof_contracts")
    schemas = shutil.copytree(ROOT / "contracts/schemas", tmp_path / "schemas")
    source = package / "task.py"
    before = "    redrives: TaskId | None = None\n"
    assert before in source.read_text()
    source.write_text(source.read_text().replace(before, before + field))
    ran = subprocess.run(
        [sys.executable, "-m", "tierproof_contracts", "write", "--folder", schemas],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert (ran.returncode, advice in ran.stdout + ran.stderr) == (code, True), ran
    assert "task.submitted.v1" in ran.stdout + ran.stderr
    assert ("remark" in (schemas / "task.submitted.v1.json").read_text()) == (code == 0)


@pytest.mark.requirement("BUS-delivery")
async def test_a_poisoned_message_is_seen_as_a_dead_letter_and_sent_again(
    stack: Stack, tierproof: Any, submission: Submission, tmp_path: Path, until: Any
) -> None:
    key = f"poison-{os.urandom(4).hex()}"
    subject = subjects.task_submitted("demo", key)
    async with connected(stack.nats_url, credentials=stack.seed_file("app-demo")) as producer:
        assert b"error" not in (await producer.request(subject, b'{"kind": "reg-doc-drafting", ')).data

    def letter() -> Any:
        letters = tierproof("dead", "list", "--json").value["letters"]
        return next((each for each in letters if each["subject"] == subject), None)

    index = str(until(letter)["index"])
    assert key in tierproof("dead", "show", index).out
    refused = tierproof("dead", "redrive", index)
    assert (refused.code, "--file" in refused.err) == (1, True)

    (tmp_path / "mended.json").write_text(json.dumps(as_json(submission("A"))))
    sent = tierproof("dead", "redrive", index, "--file", "mended.json", "--json")
    assert sent.code == 0, sent
    assert tierproof("dead", "redrive", index, "--file", "mended.json", "--json").value == sent.value, "once"
    assert tierproof("task", "result", sent.value["task_id"], "--wait", "60s").code == 0


@pytest.mark.requirement("LED-proof", "LED-append")
def test_a_changed_ledger_row_is_named_by_verification(stack: Stack, tierproof: Any, submission: Submission) -> None:
    events = tierproof("task", "story", answered(tierproof, submission), "--json").value["events"]
    entry = next(event["index"] for event in events if event.get("type") == "task.accepted.v1")
    assert tierproof("ledger", "verify").code == 0

    def rewrite(old: str, new: str) -> None:
        with psycopg.connect(stack.owner_dsn) as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.execute(
                "UPDATE ledger.entry SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), %s, %s), 'UTF8')"
                " WHERE seq = %s",
                [old, new, entry],
            )

    rewrite('"safety_class":"A"', '"safety_class":"B"')
    try:
        said = tierproof("ledger", "verify")
        named = tierproof("ledger", "verify", "--json")
    finally:
        rewrite('"safety_class":"B"', '"safety_class":"A"')
    assert (said.code, named.code) == (1, 1)
    assert f"entry {entry}:" in said.out
    assert "NOT verified" in said.out
    assert named.value["problems"][0]["index"] == entry
    assert tierproof("ledger", "verify").code == 0


def test_the_router_starts_alone_where_no_database_driver_can_be_imported(stack: Stack, tmp_path: Path) -> None:
    for driver in ("psycopg", "sqlalchemy", "asyncpg"):
        (tmp_path / f"{driver}.py").write_text("raise ImportError('there is no database driver here')\n")
    port = free_ports(1)[0]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "TIERPROOF_NATS_URL": stack.nats_url,
        "TIERPROOF_TRUST_FILE": str(stack.trust),
        "TIERPROOF_MONITORING_URL": stack.endpoints.monitoring_url or "",
        "TIERPROOF_NKEY_SEED_FILE": str(stack.seed_file("router")),
        "TIERPROOF_HTTP_PORT": str(port),
    }
    no_driver = subprocess.run([sys.executable, "-c", "import psycopg"], check=False, env=environment, stderr=-3)
    assert no_driver.returncode == 1
    with subprocess.Popen([sys.executable, "-m", "tierproof_router"], env=environment, cwd=tmp_path) as router:
        try:
            end = time.monotonic() + 30
            while not answers_ok(port, "/readyz"):
                assert router.poll() is None, "the router has ended"
                assert time.monotonic() < end, "the router is not ready"
                time.sleep(0.1)
        finally:
            router.terminate()
            router.wait(30)


@pytest.mark.requirement("LED-proof")
def test_a_result_is_verified_offline_and_a_changed_one_refused(
    stack: Stack, tierproof: Any, submission: Submission, tmp_path: Path
) -> None:
    task_id = answered(tierproof, submission)
    assert tierproof("task", "result", task_id, "--save", "result.json").code == 0
    trust = shutil.copy(stack.trust, tmp_path / "trust.json")
    offline = subprocess.run(
        [Path(sys.executable).with_name("tierproof"), "result", "verify", "result.json", "--trust", trust],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TIERPROOF_HOME": str(tmp_path / "nothing")},
    )
    assert (offline.returncode, f"verified: {task_id} answered" in offline.stdout) == (0, True), offline

    saved = json.loads((tmp_path / "result.json").read_text())
    event = json.loads(base64.b64decode(saved["event"]))
    event["data"]["outcome"]["answer"]["text"] += " "
    saved["event"] = base64.b64encode(json.dumps(event).encode()).decode()
    (tmp_path / "result.json").write_text(json.dumps(saved))
    forged = tierproof("result", "verify", "result.json")
    assert (forged.code, "another result" in forged.err) == (1, True)


@pytest.mark.requirement("S9-classC", "LED-sign")
@pytest.mark.parametrize(("word", "code", "status"), [("--confirm", 0, "answered"), ("--reject", 3, "abstained")])
def test_a_person_decides_about_class_c(
    tierproof: Any, submission: Submission, word: str, code: int, status: str
) -> None:
    waiting = tierproof("task", "submit", *submission("C"), "--wait", "--json")
    assert (waiting.code, waiting.value["status"]) == (5, "waiting")
    task_id = waiting.value["task_id"]
    queue = tierproof("review", "list", "--json").value["reviews"]
    assert task_id in {each["task_id"] for each in queue}

    decide = ("review", "decide", task_id, word, "--reason", "read it with care")
    undecided = tierproof(*decide)
    assert undecided.code == 1, "nobody has agreed"
    assert '{"id": "REQ-1"}' in undecided.out
    assert tierproof(*decide, "--yes").code == 0
    again = tierproof(*decide, "--yes")
    assert (again.code, "decided" in again.err) == (1, True)

    result = tierproof("task", "result", task_id, "--wait", "30s", "--save", "c.json", "--json")
    assert (result.code, result.value["status"]) == (code, status)
    verified = tierproof("result", "verify", "c.json", "--json").value
    assert verified["confirmed_by"] == ("demo-reviewer" if status == "answered" else None)


@pytest.mark.requirement("S9-gate", "S10-escalation-budget")
def test_an_answer_that_never_passes_its_checks_ends_as_an_abstention(tierproof: Any, submission: Submission) -> None:
    said = tierproof("task", "submit", *submission("B", right=False), "--wait", "--json")
    assert (said.code, said.value["status"], said.value["code"]) == (3, "abstained", "exhausted")
    why = tierproof("task", "explain", said.value["task_id"]).out
    assert "what would change it: a model that passes the checks, or more kinds.reg-doc-drafting.classes.B" in why


async def test_the_same_key_is_the_same_task(stack: Stack) -> None:
    given: dict[str, Any] = {"kind": "unknown-kind", "safety_class": "A", "key": os.urandom(8).hex()}
    async with sdk.connect(stack.nats_url, credentials=stack.seed_file("app-demo")) as fleet:
        first = await fleet.submit(**given, prompt="one")
        assert (await fleet.submit(**given, prompt="one")).task_id == first.task_id
        with pytest.raises(sdk.AlreadySubmitted, match="prompt"):
            await fleet.submit(**given, prompt="two")
        result = await first.released(timeout=30)
    assert result.released.outcome.status == "abstained"
