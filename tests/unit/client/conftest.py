"""The command as a user runs it, in this process: arguments in; exit code, output and errors out. The ledger's answers are given."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from tierproof.cli.__main__ import main
from tierproof.connection import Connection
from tierproof_contracts.questions import Question, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run of the command left."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The JSON value that it printed."""
        return json.loads(self.out)


Tierproof = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder without a stack, and a directory of its own to work in."""
    for name in ("TIERPROOF_NATS_URL", "TIERPROOF_CREDENTIALS", "TIERPROOF_TRUST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIERPROOF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def tierproof(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tierproof:
    """Run `tierproof ARGUMENTS`; an exception that escapes is a traceback for the user, and fails the test."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr("sys.argv", ["tierproof", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=said.out, err=said.err)

    return run


@pytest.fixture
def ledger_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Shape], list[Question]]:
    """Give the ledger's answer to whatever is asked, without a broker; returns the list of questions that were asked."""
    asked: list[Question] = []

    async def no_broker(*_: object) -> None:
        return

    monkeypatch.setattr(Connection, "open", no_broker)
    monkeypatch.setattr(Client, "close", no_broker)
    monkeypatch.setenv("TIERPROOF_NATS_URL", "nats://nowhere")

    def says(answer: Shape) -> list[Question]:
        async def answered(_: Connection, question: Question, expected: type[Shape], *_more: object) -> Shape:
            asked.append(question)
            assert isinstance(answer, expected)
            return answer

        monkeypatch.setattr(Connection, "ask", answered)
        return asked

    return says
