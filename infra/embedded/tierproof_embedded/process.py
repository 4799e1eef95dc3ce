"""One supervised child process: started on a leash, its output in a file, stopped without leaving descendants behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tierproof_embedded.errors import ExitedEarly
from tierproof_embedded.ports import write_whole

LEASH = Path(__file__).with_name("leash.py")
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
PAUSE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run and how to end it.

    `wrapper` stands before the leash (a user namespace); `user` is whom to become, when not ourselves; `stop_signal` asks it to end;
    after `grace` seconds it is killed. `orphan_signal` is sent by the kernel when the supervisor is gone and nobody can count seconds.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    user: str = ""
    folder: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0

    def leashed(self, parent: int) -> list[str]:
        """Return the whole argument list for a child of `parent`."""
        leash = [sys.executable, "-I", "-S", str(LEASH), str(int(self.orphan_signal)), str(parent), self.user]
        return [*self.wrapper, *leash, *self.argv]


def inherited_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the few variables that a child needs of ours, and its own: secrets of this shell stay here."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(extra)


class Child:
    """A process of the stack. Not safe to share between threads: the leash binds it to the thread that started it."""

    def __init__(self, name: str, command: Command, *, log: Path, pid_file: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._pid_file = pid_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process is not None and self.exit_code() is None else None

    def start(self) -> None:
        """Start the program; its output is appended to the log. Raises OSError when the program is missing."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command.leashed(os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=inherited_environment(self._command.environment),
                cwd=self._command.folder,
                start_new_session=True,
            )
        remember(self._pid_file, self._process.pid)

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal), None while it runs; a child never started counts as ended."""
        return self._process.poll() if self._process is not None else 0

    def require_alive(self) -> None:
        """Raise ExitedEarly, with the end of the log, when the program has ended."""
        code = self.exit_code()
        if code is not None:
            raise ExitedEarly(part=self.name, code=code, log=self.log, tail=tail_of(self.log))

    def ask_to_stop(self) -> None:
        """Send the stop signal to the program itself (its workers are its own business)."""
        if self._process is not None and self.exit_code() is None:
            self._process.send_signal(self._command.stop_signal)

    def stop(self) -> None:
        """End the program: ask, wait for the grace, then kill; then kill what is left of its session."""
        self.ask_to_stop()
        if self._process is not None:
            try:
                self._process.wait(self._command.grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.sweep()

    def kill(self) -> None:
        """Kill the program at once, as a crash would, and leave its descendants to find out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def sweep(self) -> None:
        """Kill what is left of an ended program's process group and forget its process id."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)


def remember(pid_file: Path, pid: int) -> None:
    """Write a process id with its start time, which tells it from a later process of the same number."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return
    write_whole(pid_file, f"{pid} {started!r}\n")


def remembered(pid_file: Path) -> psutil.Process | None:
    """Return the living process that a file names, None when it is gone or the number belongs to another one now."""
    try:
        pid, started = pid_file.read_text().split()
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(started)) < 1.0
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None


def end_leftover(pid_file: Path, grace: float) -> bool:
    """End a process that an earlier supervisor left behind; returns whether there was one."""
    process = remembered(pid_file)
    if process is None:
        pid_file.unlink(missing_ok=True)
        return False
    family = [process, *process.children(recursive=True)]
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    _gone, alive = psutil.wait_procs(family, timeout=grace)
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(alive, timeout=grace)
    pid_file.unlink(missing_ok=True)
    return True


def tail_of(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, an empty string when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def rotate(log: Path, largest: int, kept: int) -> bool:
    """Move a log of more than `largest` bytes aside (`.1` is the newest of `kept`); returns whether it did.

    The writer holds the file open for appending, so the file is copied and emptied, never renamed.
    """
    if not log.exists() or log.stat().st_size <= largest:
        return False
    for number in range(kept, 1, -1):
        older = log.with_name(f"{log.name}.{number - 1}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))
    log.with_name(f"{log.name}.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    return True


def wait_until_ready(child: Child, ready: Callable[[], bool], seconds: float) -> bool:
    """Wait until the probe succeeds; False when time is up. Raises ExitedEarly when the program ends first."""
    until = time.monotonic() + seconds
    while not ready():
        child.require_alive()
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)
    return True
