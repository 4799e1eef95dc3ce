"""One whole stack, and the command as a newcomer types it: the installed `tierproof`, in a shell that knows only TIERPROOF_HOME.

The model is the no-op one, which answers what the prompt tells it to, so that a test can choose whether the checks pass.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack

from tests.command_line import Ran

SECONDS_FOR_A_COMMAND = 90
LOOK = 0.2
INPUTS = {
    "schema": json.dumps({"type": "object", "properties": {"id": {"enum": ["REQ-1"]}}, "required": ["id"]}),
    "rules": json.dumps({"version": 1, "rules": []}),
    "requirements": "REQ-1",
    "pattern": "REQ-[0-9]+",
}


class Tierproof(Protocol):
    """Run `tierproof ARGUMENTS`."""

    def __call__(self, *arguments: str | Path) -> Ran: ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Run the whole stack for the session."""
    settings = EmbeddedSettings(home=tmp_path_factory.mktemp("stack"), model_engine="noop")
    async with running_stack(settings) as running:
        yield running


@pytest.fixture
def tierproof(stack: Stack, tmp_path: Path) -> Tierproof:
    """Return the command, run in a folder of the test's own. A traceback is never an answer."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith("TIERPROOF_")}

    def run(*arguments: str | Path) -> Ran:
        ran = subprocess.run(
            [Path(sys.executable).with_name("tierproof"), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_A_COMMAND,
            cwd=tmp_path,
            env={**shell, "TIERPROOF_HOME": str(stack.layout.home)},
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)

    return run


@pytest.fixture
def submission(tmp_path: Path) -> Callable[..., Sequence[str]]:
    """Return the arguments of a submission that the no-op model answers rightly, or wrongly each time."""

    def arguments(safety_class: str, *, right: bool = True) -> Sequence[str]:
        for name, text in INPUTS.items():
            (tmp_path / name).write_text(text)
        answer = json.dumps({"id": "REQ-1" if right else "REQ-9"})
        inputs = [argument for name in INPUTS for argument in ("--input", f"{name}={tmp_path / name}")]
        prompt = f"<<<ANSWER\n{answer}\nANSWER>>>"
        return ["--kind", "reg-doc-drafting", "--class", safety_class, "--prompt", prompt, *inputs]

    return arguments


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Return a function that looks until there is something to see, for half a minute at most."""

    def look(found: Callable[[], Any]) -> Any:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if seen := found():
                return seen
            time.sleep(LOOK)
        raise AssertionError("nothing to be seen within 30 s")

    return look
