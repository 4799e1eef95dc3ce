"""The committed schemas are those of the models, and the command that keeps them so."""

import json
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts import asyncapi, schemas
from tierproof_contracts.__main__ import SCHEMAS, main

MADE = dict(schemas.files())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert main(["write", "--folder", str(tmp_path)]) == 0
    return tmp_path


def edit(path: Path, change: dict[str, Any]) -> None:
    schema = json.loads(path.read_bytes())
    schema["$defs"]["TaskSubmittedV1"]["properties"]["actor"].update(change)
    path.write_text(json.dumps(schema))


@pytest.mark.requirement("BUS-contracts")
def test_the_committed_files_are_those_of_the_models() -> None:
    assert main(["check"]) == 0
    assert {path.name for path in SCHEMAS.iterdir()} == MADE.keys()


@pytest.mark.requirement("BUS-contracts")
def test_a_compatible_difference_asks_to_regenerate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder / "task.submitted.v1.json", {"description": "who asks"})
    assert main(["check", "--folder", str(folder)]) == 1
    assert "make contracts" in capsys.readouterr().err
    assert main(["write", "--folder", str(folder)]) == 0
    assert main(["check", "--folder", str(folder)]) == 0


@pytest.mark.requirement("BUS-contracts")
def test_an_incompatible_difference_is_refused_with_advice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "task.submitted.v1.json"
    edit(path, {"pattern": "^[a-z]+$"})
    before = path.read_bytes()
    for command in ("check", "write"):
        assert main([command, "--folder", str(folder)]) == 1
        said = capsys.readouterr().err
        assert "task.submitted.v1.json: data.actor: another pattern" in said
        assert "Make the field optional" in said
    assert path.read_bytes() == before, "nothing is overwritten"


def test_a_contract_that_is_gone_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "task.forgotten.v1.json").write_bytes((folder / "task.submitted.v1.json").read_bytes())
    assert main(["check", "--folder", str(folder)]) == 1
    assert "task.forgotten.v1.json: the contract is gone" in capsys.readouterr().err


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "task.submitted.v1"]) == 0
    assert json.loads(capsys.readouterr().out) == MADE["task.submitted.v1.json"]
    assert main(["show", "task.dreamt.v1"]) == 2


def test_asyncapi_leads_everywhere() -> None:
    assert list(asyncapi.faults_of(MADE[schemas.ASYNCAPI], frozenset(MADE))) == []


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("tierproof.task.submitted.v1.{a}.{b}", "another channel has the same subject"),
        ("tierproof." + "x" * 250, "at most 255 characters"),
        ("a.b.c.d.e.f.g.h.i", "at most 8 tokens"),
    ],
)
def test_asyncapi_faults_are_found(address: str, fault: str) -> None:
    document = json.loads(schemas.file_bytes(MADE[schemas.ASYNCAPI]))
    document["channels"]["task.accepted.v1"]["address"] = address
    assert any(fault in found for found in asyncapi.faults_of(document, frozenset(MADE)))
    assert "leads nowhere" in next(asyncapi.faults_of(MADE[schemas.ASYNCAPI], frozenset()))
