"""The whole stack in one folder: every part killed and back, and nothing left behind. Without a model."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from tierproof_bus import Bus
from tierproof_embedded import detached
from tierproof_embedded.model_server import shared_memory_prefix
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack

SECONDS_TO_COME_BACK = 45.0
SHARED_MEMORY = Path("/dev/shm")


def settings_of(home: Path) -> EmbeddedSettings:
    return EmbeddedSettings(home=home, model_engine="noop", tiers=("s",), restart_first_pause=0.05)


def processes_of(stack: Stack) -> list[psutil.Process]:
    pids = [pid for part in stack.supervisor.states if (pid := stack.pid_of(part)) is not None]
    return [each for pid in pids for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]


def regions(stack: Stack) -> list[str]:
    return [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith(shared_memory_prefix(stack.layout))]


async def digests_in_force(stack: Stack) -> tuple[str, str, str]:
    async with Bus.connect("router", stack.bus_settings("router")) as bus:
        policy = await bus.document_in_force("routing-policy")
        manifest = await bus.document_in_force("fleet-manifest")
        reviewers = await bus.document_in_force("reviewers")
    return policy.digest(), manifest.digest(), reviewers.digest()


@pytest.mark.requirement("BUS-delivery")
async def test_every_part_comes_back_after_a_kill_and_a_stop_leaves_nothing(tmp_path: Path) -> None:
    async with running_stack(settings_of(tmp_path)) as stack:
        before = await digests_in_force(stack)
        for part in ("router", "verifier", "inference-worker-s", "evidence-ledger", "postgres", "nats", "triton"):
            pid = stack.pid_of(part)
            assert pid is not None, part
            os.kill(pid, signal.SIGKILL)
            psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
            await stack.failed(part, SECONDS_TO_COME_BACK)
            await stack.ready(SECONDS_TO_COME_BACK)
            assert stack.pid_of(part) != pid
        assert await digests_in_force(stack) == before
        family = processes_of(stack)
        assert regions(stack)
    assert [each for each in family if each.is_running()] == []
    assert regions(stack) == []


@pytest.mark.requirement("BUS-delivery")
def test_a_killed_supervisor_of_a_whole_stack_leaves_nothing_and_the_next_start_is_clean(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    shell = {"TIERPROOF_MODEL_ENGINE": "noop", "TIERPROOF_TIERS": '["s"]'}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shell.items():
            patch.setenv(name, value)
        supervisor = psutil.Process(detached.start(settings, lambda _part, _phase: None))
        family = supervisor.children(recursive=True)
        assert {"nats-server", "postgres", "tritonserver"} <= {each.name() for each in family}
        supervisor.kill()
        _gone, left = psutil.wait_procs([supervisor, *family], timeout=SECONDS_TO_COME_BACK)
        assert left == []
        prefix = shared_memory_prefix(settings.layout)
        assert [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith(prefix)] == []
        detached.start(settings, lambda _part, _phase: None)
        detached.stop(settings)


@pytest.mark.requirement("BUS-delivery")
async def test_a_lock_file_that_a_kill_left_empty_does_not_keep_the_database_down(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"only": ("postgres",)})
    async with running_stack(settings):
        pass
    (settings.layout.postgres / "postmaster.pid").touch()
    async with running_stack(settings) as stack:
        assert stack.pid_of("postgres")
