"""`up --detach`, `down`, `logs`: a supervisor that outlives its command, as a person uses it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = str(Path(sys.executable).with_name("tierproof"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fleet").mkdir()
    return tmp_path / "state"


def run(home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    environment = {**os.environ, "TIERPROOF_HOME": str(home), "TIERPROOF_FLEET": str(home.parent / "fleet")}
    argv = [COMMAND, *arguments, "--json"]
    ran = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=90)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, json.JSONDecoder().raw_decode(ran.stdout)[0] if ran.stdout else {}


def test_up_leaves_a_stack_that_down_stops(home: Path) -> None:
    code, said = run(home, "up", "first-steps", "postgres", "--detach")
    assert (code, said["ok"]) == (0, True)
    family = psutil.Process(said["pid"]).children(recursive=True)
    assert {"nats-server", "postgres"} <= {each.name() for each in family}
    assert run(home, "up", "--detach")[1]["error"] == "AlreadyRunning"
    assert run(home, "doctor")[1]["checks"][-1]["found"] == "running"
    assert run(home, "logs", "first-steps")[1]["part"] == "first-steps"
    assert run(home, "down") == (0, {"ok": True, "pid": said["pid"]})
    assert not any(each.is_running() for each in family)
    code, said = run(home, "down")
    assert (code, said["error"]) == (1, "NotRunning")


def test_a_start_that_fails_says_why_and_leaves_nothing(home: Path) -> None:
    bad = home.parent / "fleet" / "routing-policy.json"
    bad.write_text("{}")
    code, said = run(home, "up", "--detach")
    assert (code, said["error"]) == (1, "BadDocument")
    assert str(bad) in said["diagnosis"]
    bad.unlink()
    shutil.rmtree(home)
    assert run(home, "up", "nats", "--detach")[0] == 0
    assert run(home, "down")[0] == 0


def test_a_process_id_that_now_belongs_to_another_is_not_signalled(home: Path) -> None:
    (home / "run").mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (home / "run" / "supervisor.pid").write_text(f"{innocent.pid} 1.0\n")
        code, said = run(home, "down")
        assert (code, said["error"]) == (1, "NotRunning")
        assert innocent.poll() is None
        innocent.kill()
