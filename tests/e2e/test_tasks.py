"""Tasks from the outside: each outcome has its exit code, each refusal its sentence."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tierproof as sdk
from tierproof_embedded.stack import Stack
from tierproof_proofs.keys import load_or_create_key

Submission = Callable[..., Sequence[str]]


def values(text: str) -> list[Any]:
    """Return the JSON values that stand one after the other in a text."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def test_a_task_that_cannot_be_checked_fails(tierproof: Any) -> None:
    what = ("--kind", "reg-doc-drafting", "--class", "A", "--prompt", "x")
    said = tierproof("task", "submit", *what, "--wait", "--json")
    assert (said.code, said.value["status"], said.value["code"]) == (4, "failed", "verification")
    assert "inputs." in said.value["detail"]


def test_without_wait_the_result_is_asked_for_later(tierproof: Any, submission: Submission) -> None:
    submitted = tierproof("task", "submit", *submission("A"), "--json")
    assert submitted.code == 0
    said = tierproof("task", "result", submitted.value["task_id"], "--wait", "30s", "--json")
    assert (said.code, said.value["status"]) == (0, "answered")
    assert tierproof("task", "result", f"demo_{'f' * 32}", "--wait", "100ms", "--json").code == 6


@pytest.mark.requirement("BUS-delivery")
def test_the_same_key_is_the_same_task_and_another_content_is_refused(tierproof: Any, submission: Submission) -> None:
    first, again = (tierproof("task", "submit", *submission("A"), "--key", "k", "--json") for _ in range(2))
    assert (first.code, first.value) == (0, again.value)
    other = tierproof("task", "submit", *submission("A", right=False), "--key", "k", "--json")
    assert (other.code, other.value["error"]) == (1, "AlreadySubmitted")
    assert "prompt" in other.value["diagnosis"]


def test_listening_ends_after_a_count_and_a_durable_goes_on(tierproof: Any, submission: Submission) -> None:
    for _ in range(3):
        assert tierproof("task", "submit", *submission("A"), "--wait").code == 0
    heard = [tierproof("listen", "--durable", "results", "--count", count, "--json") for count in ("1", "2")]
    assert [said.code for said in heard] == [0, 0]
    assert [len(values(said.out)) for said in heard] == [1, 2]
    positions = [each["ledger"]["index"] for said in heard for each in values(said.out)]
    assert positions == sorted(set(positions)), "in the ledger's order, and none twice"


async def test_a_program_proves_what_it_hears(stack: Stack) -> None:
    async with sdk.connect(stack.nats_url, credentials=stack.seed_file("app-demo")) as fleet:
        task = await fleet.submit(kind="marketing-copy", safety_class="A", prompt="a slogan")
        result = await fleet.prove(await task.released(timeout=30))
    assert result.outcome.status == "abstained"
    assert result.verify(trust=stack.trust).task_id == task.task_id
    with pytest.raises(sdk.ClientError, match="absent"):
        result.verify(trust=stack.layout.home / "absent.json")


READING = {
    "kind": "reg-doc-drafting", "kind_micro": 990_000, "modality": "text", "modality_micro": 990_000, "out_of_domain_micro": 1_000,
    "retrieval": "no", "retrieval_micro": 990_000, "risk": "A", "risk_micro": 990_000,
}  # fmt: skip


def unnamed(submission: Submission, reading: str) -> tuple[str, ...]:
    """Return a submission that names no kind, whose prompt says what the no-op triage model reads."""
    _kind, _name, *rest = submission("A")
    prompt = rest.index("--prompt") + 1
    rest[prompt] += f"\n<<<TRIAGE\n{reading}\nTRIAGE>>>"
    return tuple(rest)


@pytest.mark.requirement("S9-gate")
def test_a_task_without_a_kind_is_read_answered_and_explained(tierproof: Any, submission: Submission) -> None:
    said = tierproof("task", "submit", *unnamed(submission, json.dumps(READING)), "--wait", "--json")
    assert (said.code, said.value["status"]) == (0, "answered"), said
    story = tierproof("task", "story", said.value["task_id"], "--json").value
    types = [event["type"] for event in story["events"]]
    assert types.count("inference.requested.v1") == types.count("inference.settled.v1") == 2
    decided = next(event["data"] for event in story["events"] if event["type"] == "task.decided.v1")
    assert (decided["kind"], decided["slip"]["reading"]) == ("reg-doc-drafting", READING)
    assert len(decided["cites"]) == 8, "the reading is evidence like every other step"
    told = tierproof("task", "explain", said.value["task_id"]).out
    assert "names no kind" in told
    assert "triage read reg-doc-drafting at 0.990" in " ".join(told.split())


@pytest.mark.parametrize(
    ("reading", "status", "code"),
    [
        (READING | {"out_of_domain_micro": 900_000}, "abstained", "out-of-domain"),
        (READING | {"kind_micro": 500_000}, "abstained", "out-of-domain"),
        (READING | {"kind": "marketing-copy"}, "abstained", "unknown-kind"),
        ("nonsense", "failed", "inference"),
    ],
)
@pytest.mark.requirement("S9-gate")
def test_a_task_without_a_clear_kind_is_declined_with_evidence(
    tierproof: Any, submission: Submission, reading: Any, status: str, code: str
) -> None:
    said = tierproof("task", "submit", *unnamed(submission, json.dumps(reading)), "--wait", "--json")
    assert (said.value["status"], said.value["code"]) == (status, code), said


@pytest.mark.requirement("S9-classC")
def test_a_request_that_speaks_of_more_harm_than_its_class_waits_for_a_person(
    tierproof: Any, submission: Submission
) -> None:
    said = tierproof("task", "submit", *unnamed(submission, json.dumps(READING | {"risk": "C"})), "--wait", "--json")
    assert (said.code, said.value["status"]) == (5, "waiting"), said


def test_a_durable_that_nobody_granted_is_refused(tierproof: Any) -> None:
    said = tierproof("listen", "--durable", "mine", "--count", "1")
    assert (said.code, "app-demo may not use" in said.err) == (1, True)


def test_another_tenant_is_out_of_reach(stack: Stack, tierproof: Any, submission: Submission) -> None:
    as_other = ("--tenant", "other", "--credentials", stack.seed_file("app-demo"))
    said = tierproof("task", "submit", *submission("A"), *as_other, "--json")
    assert (said.code, said.value["error"]) == (1, "NotPermitted")
    assert "take the credentials of the tenant" in said.value["diagnosis"]


def test_credentials_that_are_none_are_named(tierproof: Any, submission: Submission, tmp_path: Path) -> None:
    (tmp_path / "app-demo.nk").write_text("nonsense")
    said = tierproof("task", "submit", *submission("A"), "--credentials", tmp_path / "app-demo.nk", "--json")
    assert said.code == 1
    assert "no NKey seed" in said.value["diagnosis"]


def test_too_much_text_is_refused_with_the_limit(tierproof: Any, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x" * 300_000)
    said = tierproof("task", "submit", "--kind", "code-review", "--class", "A", "--file", "long.txt", "--json")
    assert (said.code, said.value["error"]) == (1, "TooLarge")
    assert "262144" in said.value["diagnosis"]


@pytest.mark.requirement("S9-classC", "LED-sign")
def test_a_word_with_another_key_releases_nothing(tierproof: Any, submission: Submission, tmp_path: Path) -> None:
    waiting = tierproof("task", "submit", *submission("C"), "--wait", "--json")
    assert (waiting.code, waiting.value["status"]) == (5, "waiting")
    task_id, forged = waiting.value["task_id"], tmp_path / "forged.pem"
    load_or_create_key(forged)
    decided = tierproof("review", "decide", task_id, "--confirm", "--reason", "trust me", "--key", forged, "--yes")
    assert decided.code == 0, "the bus takes it; what it is worth is decided behind it"
    said = tierproof("task", "result", task_id, "--wait", "30s", "--json")
    assert (said.code, said.value["status"], said.value["code"]) == (4, "failed", "bad-review"), said
