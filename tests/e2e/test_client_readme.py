"""The examples of the client's README, as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tierproof.cli.tasks import Exit
from tierproof_embedded.stack import Stack

README = (Path(__file__).resolve().parents[2] / "contracts/client/README.md").read_text()


def examples(language: str) -> list[str]:
    """Return the README's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_program_runs(stack: Stack, tmp_path: Path) -> None:
    (program,) = examples("python")
    named = {"NATS_URL": stack.nats_url, "CREDENTIALS": str(stack.seed_file("app-demo")), "TRUST": str(stack.trust)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **named},
        cwd=tmp_path,
        timeout=90,
    )
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout.splitlines()
    assert shown[:2] == ["abstained None", "abstained"]
    assert re.fullmatch("demo_[0-9a-f]{32}", shown[2])


def test_the_commands_run(tierproof: Any) -> None:
    (commands,) = examples("sh")
    for line in commands.splitlines():
        name, *arguments = shlex.split(line)
        assert name == "tierproof"
        said = tierproof(*arguments)
        assert said.code == 0, (line, said)


@pytest.mark.parametrize("code", list(Exit))
def test_the_exit_codes_are_written_down(code: Exit) -> None:
    assert re.search(rf"^\| [0-9, ]*\b{code.value}\b[0-9, ]*\|", README, re.MULTILINE)
