"""`tierproof ledger hold|unhold|holds|erase` as an operator types them, on a stack's database."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack

SECONDS = 60.0
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Run a database that is migrated, and what that needs."""
    settings = EmbeddedSettings(home=tmp_path / "state", model_engine="noop", only=("ledger-migration",))
    async with running_stack(settings) as running:
        yield running


def command(home: Path, *arguments: str, answer: str = "") -> tuple[int, str, str]:
    shell = {name: value for name, value in os.environ.items() if not name.startswith("TIERPROOF_")}
    argv = [str(Path(sys.executable).with_name("tierproof")), "ledger", *arguments]
    environment = {**shell, "TIERPROOF_HOME": str(home)}
    ran = subprocess.run(
        argv, check=False, capture_output=True, text=True, input=answer, env=environment, timeout=SECONDS
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.part11("11.10(d)")
async def test_texts_are_held_released_and_erased_by_command(stack: Stack) -> None:
    await asyncio.to_thread(_held_and_erased, stack)


def _held_and_erased(stack: Stack) -> None:
    home = stack.layout.home
    with psycopg.connect(stack.owner_dsn, autocommit=True) as rows:
        rows.execute(
            """INSERT INTO ledger.text_key (key_id, tenant, wrapped)
               VALUES (gen_random_uuid(), 'acme', decode(repeat('00', 60), 'hex'))"""
        )
    code, out, _ = command(home, "hold", "--tenant", "acme", "--reason", "a court asks", "--as", "Grace", "--json")
    held = json.loads(out)["hold"]
    assert code == 0
    code, out, _ = command(home, "erase", "--tenant", "acme", "--reason", "asked", "--yes", "--json")
    said = json.loads(out)
    assert (code, said["error"], held in said["diagnosis"]) == (1, "UnderHold", True)
    assert "by Grace (ledger_holder): a court asks" in command(home, "holds")[1]
    assert command(home, "unhold", held, "--reason", "it has decided")[0] == 0
    assert [hold["lifted_because"] for hold in json.loads(command(home, "holds", "--json")[1])["holds"]] == [
        "it has decided"
    ]
    code, out, err = command(home, "erase", "--tenant", "acme", "--reason", "asked", answer="n\n")
    assert (code, "never be read again" in err, out.strip()) == (1, True, "")
    code, out, _ = command(home, "erase", "--tenant", "acme", "--reason", "asked", answer="y\n")
    assert (code, "erased for ever: 1 key" in out) == (0, True)
    with psycopg.connect(stack.owner_dsn) as rows:
        assert rows.execute(
            "SELECT type FROM ledger.v_act WHERE said ->> 'tenant' = 'acme' ORDER BY done_at"
        ).fetchall() == [
            ("ledger.held.v1",),
            ("ledger.unheld.v1",),
            ("ledger.erased.v1",),
        ]


def test_where_nothing_ever_ran_it_says_so(tmp_path: Path) -> None:
    code, _, err = command(tmp_path / "nowhere", "holds")
    assert (code, "no stack is running" in err) == (1, True)
