"""`tierproof data ...` as a person types it: from items to an audited snapshot, and every refusal in one line with its exit code."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tierproof_curator import rejection
from tierproof_domains import reg_doc_drafting
from tierproof_domains.item import Item, Split
from tierproof_proofs.keys import load_or_create_key

from tests.command_line import tierproof

EXAM, LESSONS = 6, 30


@pytest.fixture(autouse=True)
def _at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0) -> str:
    ran = tierproof("data", *words)
    assert ran.code == code, ran.err
    return ran.out + ran.err


def public_key() -> str:
    return base64.b64encode(load_or_create_key(Path("datasets/curator.pem")).public_key).decode()


def said(*words: str, code: int = 0) -> dict[str, Any]:
    ran = tierproof("data", *words, "--json")
    assert ran.code == code, ran.err
    found: dict[str, Any] = ran.value
    return found


def items(split: Split, most: int) -> Iterator[Item]:
    yield from reg_doc_drafting.items(split, most=most)


def written(name: str, items: list[Item]) -> str:
    Path(name).write_text("".join(each.as_line() + "\n" for each in items))
    return name


@pytest.fixture
def exam() -> list[Item]:
    made = list(items("sealed", EXAM))
    run("seal", written("exam.jsonl", made), "--name", "exam-1", "--to", "exam.sealed")
    return made


def records_of(lessons: list[Item]) -> str:
    run("records", written("lessons.jsonl", lessons), "--to", "records.jsonl")
    return "records.jsonl"


@pytest.mark.requirement("S6-snapshot")
def test_from_items_to_an_audited_snapshot(exam: list[Item]) -> None:
    records = records_of(list(items("train", LESSONS)))
    built = said("build", records, "--sealed", "exam.sealed")
    assert (built["ok"], built["records"], built["labels"]) == (True, LESSONS, {"synthetic-verified": LESSONS})
    again = said("build", records, "--sealed", "exam.sealed")
    assert again == built
    key = public_key()
    audited = said("audit", built["folder"], "--key", key, "--sealed", "exam.sealed")
    assert (audited["uid"], audited["records"]) == (built["uid"], LESSONS)
    assert said("inspect", built["folder"])["uid"] == built["uid"]
    assert built["uid"] in run("inspect", built["folder"])
    assert exam


def test_a_file_of_records_appears_whole_or_not_at_all() -> None:
    lessons = written("lessons.jsonl", list(items("train", 4)))
    before = Path(lessons).read_text()
    assert "holds no items" in run("records", written("none.jsonl", []), "--to", "none.jsonl", code=1)
    Path("torn.jsonl").write_text(before + "no item\n")
    run("records", "torn.jsonl", "--to", "out.jsonl", code=1)
    run("records", "nowhere.jsonl", "--to", "out.jsonl", code=1)
    assert not Path("out.jsonl").exists()
    assert run("records", lessons, "--to", lessons).startswith("4 records"), "in place of its input"
    assert sorted(path.name for path in Path().glob("*.jsonl")) == ["lessons.jsonl", "none.jsonl", "torn.jsonl"]


def test_what_build_says_leads_to_the_audit() -> None:
    built = said("build", records_of(list(items("train", 4))))
    assert said("audit", built["folder"], "--key", built["signed_by"])["uid"] == built["uid"]
    assert said("audit", built["folder"], "--key", "datasets/curator.pem")["uid"] == built["uid"]
    assert "nowhere.jsonl: No such file" in run("build", "nowhere.jsonl", code=1)


@pytest.mark.requirement("S6-snapshot")
def test_audit_names_the_changed_record_and_exits_1() -> None:
    built = said("build", records_of(list(items("train", LESSONS))))
    key = public_key()
    path = Path(built["folder"]) / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b"tierproof-domains", b"somewhere-else---")
    path.chmod(0o644)
    path.write_bytes(b"".join(lines))
    assert "record 7:" in run("audit", built["folder"], "--key", key, code=1)


@pytest.mark.requirement("S6-contamination")
def test_a_sealed_item_is_refused_by_command_and_by_file_with_a_signed_record(exam: list[Item]) -> None:
    lessons = list(items("train", LESSONS))
    renamed = replace(exam[0], split="train", id="")
    assert "sealed examination" in run("records", "exam.jsonl", "--to", "exam-records.jsonl", code=1)
    refused = said("build", records_of([*lessons, renamed]), "--sealed", "exam.sealed", code=1)
    assert refused["error"] == "Contaminated"
    assert renamed.id in refused["diagnosis"]
    assert exam[0].prompt not in refused["diagnosis"]
    assert len(list((Path("datasets") / rejection.FOLDER).glob("*.dsse.json"))) == 1
    assert not list(Path("datasets").glob("sha256-*"))
    unchecked = said("build", "records.jsonl")  # nobody asked: its statement says that it is free of nothing
    assert unchecked["clean_of"] == []
    key = public_key()
    found = said("audit", unchecked["folder"], "--key", key, "--sealed", "exam.sealed", code=1)
    assert renamed.id in found["diagnosis"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["build", "nowhere.jsonl"], 1),
        (["build", "empty.jsonl"], 1),
        (["build", "bad.jsonl"], 1),
        (["build", "empty.jsonl", "--sealed", "bad.jsonl"], 1),
        (["build"], 2),
        (["build", "empty.jsonl", "--colour"], 2),
        (["inspect", "nowhere"], 1),
        (["inspect", "odd"], 1),
        (["audit", "nowhere", "--key", "not base64"], 1),
        (["audit", "nowhere"], 2),
        (["records", "bad.jsonl", "--to", "out.jsonl"], 1),
        (["seal", "bad.jsonl", "--name", "x", "--to", "out.sealed"], 1),
    ],
)
def test_refusals_are_one_sentence_and_an_exit_code(words: list[str], code: int) -> None:
    Path("empty.jsonl").touch()
    Path("bad.jsonl").write_text('{"id": 7}\n')
    Path("odd").mkdir()
    Path("odd/manifest.json").write_text("{}")
    assert run(*words, code=code).strip()


@pytest.mark.requirement("S6-contamination")
def test_items_that_could_never_be_found_again_are_told(exam: list[Item]) -> None:
    short = replace(exam[0], prompt="Add.", answer="1", id="")
    told = run("seal", written("short.jsonl", [*exam, short]), "--name", "short-1", "--to", "short.sealed")
    assert "1 of 7 items are too short" in told
    assert short.id in told
