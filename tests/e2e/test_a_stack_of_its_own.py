"""What changes a stack for good, on a stack of its own that starts and stops as a person starts and stops it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from tierproof_embedded.layout import Layout
from tierproof_embedded.model_server import shared_memory_prefix

Submission = Callable[..., Sequence[str]]
SHARED_MEMORY = Path("/dev/shm")


def family_of(pid: int) -> list[psutil.Process]:
    """Return a process and what descends from it."""
    supervisor = psutil.Process(pid)
    return [supervisor, *supervisor.children(recursive=True)]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., tuple[int, Any]]]:
    """Start a stack with tier S alone; stopped, it leaves no process and no shared memory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIERPROOF_")}
    home = tmp_path / "home"
    variables = {"TIERPROOF_HOME": str(home), "TIERPROOF_MODEL_ENGINE": "noop", "TIERPROOF_TIERS": '["s"]'}

    def run(*arguments: str) -> tuple[int, Any]:
        command = [str(Path(sys.executable).with_name("tierproof")), *arguments, "--json"]
        ran = subprocess.run(
            command, check=False, capture_output=True, text=True, env=clean | variables, cwd=tmp_path, timeout=100
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    code, up = run("up", "--detach")
    assert code == 0, up
    family = family_of(up["pid"])
    try:
        yield run
    finally:
        family += family_of(up["pid"])
        code, _ = run("down")
    assert code == 0
    assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    prefix = shared_memory_prefix(Layout.at(home))
    assert [path for path in SHARED_MEMORY.iterdir() if path.name.startswith(prefix)] == []


@pytest.mark.requirement("S3.3-revoke")
def test_a_revoked_model_releases_nothing_more(own: Any, submission: Submission, until: Any) -> None:
    code, first = own("task", "submit", *submission("A"), "--wait")
    assert (code, first["status"]) == (0, "answered")
    events = own("task", "story", first["task_id"])[1]["events"]
    settled = next(event["data"] for event in events if event.get("type") == "inference.settled.v1")
    digest = settled["settlement"]["model"]["weights"]
    assert own("model", "revoke", digest, "--reason", "found to leak") == (0, {"digest": digest, "new": True})
    assert own("model", "revoke", digest, "--reason", "again") == (0, {"digest": digest, "new": False})
    until(lambda: own("ledger", "query", "--type", "model.revoked.v1")[1]["entries"])
    code, second = own("task", "submit", *submission("A"), "--wait")
    assert (code, second["status"], second["code"]) == (4, "failed", "revoked")
