"""The command where no stack is; the ledger's answers are given."""

from collections.abc import Callable
from pathlib import Path

import pytest
from nats.aio.client import Client
from tierproof.connection import Connection
from tierproof_contracts.questions import Question, Shape

from tests.command_line import Ran, tierproof

Tierproof = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder without a stack, and a directory of its own to work in."""
    for name in ("TIERPROOF_NATS_URL", "TIERPROOF_CREDENTIALS", "TIERPROOF_TRUST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIERPROOF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture(name="tierproof")
def _tierproof(home: Path) -> Tierproof:
    """Give the command, which finds no stack."""
    return tierproof


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
