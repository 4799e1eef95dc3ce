"""A supervisor that outlives the command that started it: start, find, stop. `down` makes sure that it signals the right process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psutil

from tierproof_embedded.errors import AlreadyRunning, ExitedEarly, NotReadyInTime, NotRunning, NotStopped
from tierproof_embedded.layout import Layout
from tierproof_embedded.process import remembered, tail_of
from tierproof_embedded.settings import EmbeddedSettings

LOOK = 0.05
GIVEN_UP = "given up"


def status_of(layout: Layout) -> dict[str, str] | None:
    """Return the phase of each part of the running stack, None when none runs."""
    if remembered(layout.supervisor_pid) is None:
        return None
    try:
        rows = json.loads(layout.status.read_text())["parts"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    return {name: row["phase"] for name, row in rows.items()}


def start(settings: EmbeddedSettings, moved: Callable[[str, str], None]) -> int:
    """Start a supervisor of its own session, wait until everything is ready, and return its process id.

    `moved(part, phase)` is called as parts advance. Raises AlreadyRunning; raises ExitedEarly or NotReadyInTime after stopping
    what was started.
    """
    layout = settings.layout
    layout.prepare()
    running = remembered(layout.supervisor_pid)
    if running is not None:
        raise AlreadyRunning(pid=running.pid, home=layout.home)
    with layout.log_of("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "tierproof_embedded", "supervise"],
            env={
                **os.environ,
                "TIERPROOF_HOME": str(layout.home),
                "TIERPROOF_ONLY": json.dumps(settings.only),
                "TIERPROOF_TRAINING": json.dumps(settings.training),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with contextlib.ExitStack() as unless_ready:
        unless_ready.callback(supervisor.wait, settings.stop_patience)
        unless_ready.callback(supervisor.terminate)
        _wait_until_ready(supervisor, settings, moved)
        unless_ready.pop_all()
    # A caller that outlives the supervisor reaps it; one that ends before leaves that to init.
    threading.Thread(target=supervisor.wait, name="reaper", daemon=True).start()
    return supervisor.pid


def _wait_until_ready(
    supervisor: subprocess.Popen[bytes], settings: EmbeddedSettings, moved: Callable[[str, str], None]
) -> None:
    layout, until = settings.layout, time.monotonic() + settings.start_patience
    shown: dict[str, str] = {}
    while True:
        if supervisor.poll() is not None:
            log = layout.log_of("supervisor")
            raise ExitedEarly(part="the supervisor", code=supervisor.returncode, log=log, tail=tail_of(log))
        phases = status_of(layout) or {}
        for part, phase in phases.items():
            if shown.get(part) != phase:
                moved(part, phase)
        shown = phases
        for part in (part for part, phase in phases.items() if phase == GIVEN_UP):
            raise ExitedEarly(part=part, code=0, log=layout.log_of(part), tail=tail_of(layout.log_of(part)))
        if phases and set(phases.values()) == {"ready"}:
            return
        if time.monotonic() > until:
            waiting = tuple(part for part, phase in phases.items() if phase != "ready")
            raise NotReadyInTime(parts=waiting, seconds=settings.start_patience, logs=layout.logs)
        time.sleep(LOOK)


def stop(settings: EmbeddedSettings) -> int:
    """Ask the supervisor to stop everything, wait until it has, and return its process id. Raises NotRunning or NotStopped."""
    supervisor = remembered(settings.layout.supervisor_pid)
    if supervisor is None:
        raise NotRunning(home=settings.layout.home)
    pid = int(supervisor.pid)
    _signal_exactly(supervisor)
    try:
        supervisor.wait(settings.stop_patience)
    except psutil.TimeoutExpired:
        raise NotStopped(pid=pid, seconds=settings.stop_patience) from None
    return pid


def _signal_exactly(process: psutil.Process) -> None:
    """Send SIGTERM to this process and no other: the descriptor pins it before its identity is checked again."""
    if not hasattr(os, "pidfd_open"):
        process.terminate()
        return
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.is_running():  # compares the start time, so a reused number is noticed
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    finally:
        os.close(descriptor)
