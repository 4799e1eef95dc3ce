"""The stack's log goes over to another key: results from before and after verify, with old and new trust files as far as these reach."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tierproof
from tierproof.results import Result
from tierproof_embedded import keys, log_keys
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack
from tierproof_proofs.errors import NotVerified
from tierproof_proofs.trust import Trust

PARTS = ("router", "evidence-ledger")
SECONDS = 60.0


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    monkeypatch.setenv("TIERPROOF_EVIDENCE_LEDGER_LOG_KEY_OVERLAP", "10")
    return EmbeddedSettings(home=tmp_path / "state", model_engine="noop", only=PARTS)


async def _results(stack: Stack, count: int) -> list[Result]:
    """Have tasks declined, and their results proven."""
    seed = keys.seed_file(stack.layout.keys, "app-demo")
    async with tierproof.connect(stack.nats_url, credentials=seed, actor="tests") as fleet:
        found = []
        for number in range(count):
            task = await fleet.submit(kind="unknown", safety_class="A", prompt=str(number), time_allowed=SECONDS)
            found.append(await fleet.prove(await task.released(SECONDS), SECONDS))
        return found


def rotate(settings: EmbeddedSettings) -> tuple[int, dict[str, Any]]:
    command = str(Path(sys.executable).with_name("tierproof"))
    argv = [command, "ledger", "rotate-key", "--json", "--home", str(settings.home)]
    ran = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def _verify(results: Sequence[Result], trust: Path) -> None:
    for result in results:
        result.verify(trust)


@pytest.mark.requirement("LED-proof")
async def test_results_verify_through_a_rotation_of_the_logs_key(settings: EmbeddedSettings, tmp_path: Path) -> None:
    layout = settings.layout
    async with running_stack(settings) as stack:
        before = await _results(stack, 2)
    old_trust = Path(shutil.copy(layout.trust, tmp_path / "old-trust.json"))
    code, said = rotate(settings)
    assert (code, Path(said["file"]).name, Path(said["retiring"]).name) == (0, "ledger-log-2.pem", "ledger-log.pem")
    assert rotate(settings)[1]["error"] == "RotationUnderWay"
    async with running_stack(settings.model_copy(update={"only": (*PARTS, log_keys.LOG_KEYS)})) as stack:
        first, second, _ = Trust.from_json(layout.trust.read_bytes()).log_keys
        between = await _results(stack, 4)
    assert str(second.key) == said["key"]
    assert (first.since, first.until, second.until) == (0, second.since + 10, None)
    _verify([*before, *between], layout.trust)
    _verify(before, old_trust)
    with pytest.raises(NotVerified):
        _verify(between[-1:], old_trust)
    await asyncio.to_thread(Path(said["retiring"]).unlink)
    async with running_stack(settings) as stack:
        after = await _results(stack, 1)
    assert Trust.from_json(layout.trust.read_bytes()).log_keys[:2] == (first, second)
    _verify([*before, *between, *after], layout.trust)


def test_before_the_first_start_there_is_no_key_to_rotate(settings: EmbeddedSettings) -> None:
    code, said = rotate(settings)
    assert (code, "start the stack once" in said["diagnosis"]) == (1, True)
