"""The supervisor: performs the plan for all parts from one thread, which owns the child processes.

Children are tied to the thread that starts them (see `leash`), so `run` must be called in a thread that lives as long as they should:
the main thread of `tierproof up`, or the thread of `running_stack`.
"""

import contextlib
import fcntl
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tierproof_embedded.errors import AlreadyRunning, EmbeddedError
from tierproof_embedded.journal import journal
from tierproof_embedded.layout import Layout
from tierproof_embedded.plan import Action, Observed, Phase, Restarts, State, layers, step
from tierproof_embedded.ports import write_whole
from tierproof_embedded.process import Child, Command, end_leftover, remember, remembered, rotate, tail_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the stack.

    `command` is asked for at each start, so it may prepare what the start needs; `ready` is asked until it is true, `alive` from then
    on; a part that runs `once` is ready when it has succeeded. `needs` names parts that must be ready first; `tidy` runs after it has
    ended.
    """

    name: str
    command: Callable[[], Command]
    ready: Callable[[], bool] = lambda: True
    alive: Callable[[], bool] | None = None
    needs: tuple[str, ...] = ()
    once: bool = False
    tidy: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the supervisor runs: pauses between looks in seconds, log size in bytes and number kept, restart policy.

    A part that says for the `silent_looks`th time in a row that it is not alive, asked every `pulse` seconds, is started again.
    """

    restarts: Restarts
    pulse: float
    silent_looks: int
    look_while_starting: float
    look_when_ready: float
    largest_log: int
    logs_kept: int


class Supervisor:
    """Runs parts until told to stop. `states`, `all_ready` and `given_up` may be read from any thread."""

    def __init__(self, parts: Sequence[Part], layout: Layout, tuning: Tuning) -> None:
        self._layers = layers({part.name: part.needs for part in parts})
        self._parts = {part.name: part for part in parts}
        self._layout = layout
        self._tuning = tuning
        self._children: dict[str, Child] = {}
        self._pulses: dict[str, tuple[float, int]] = {}
        self._stop = threading.Event()
        self._moved: Callable[[str, str], None] = _unnoticed
        self._journal = journal(io.StringIO())
        self.states = {part.name: State(phase=Phase.WAITING, since=time.monotonic()) for part in parts}

    def stop(self) -> None:
        """Ask `run` to end; returns at once. Safe in a signal handler."""
        self._stop.set()

    @property
    def all_ready(self) -> bool:
        """Whether every part is ready."""
        return all(state.phase is Phase.READY for state in self.states.values())

    @property
    def given_up(self) -> tuple[str, ...]:
        """The parts that failed too often."""
        return tuple(name for name, state in self.states.items() if state.phase is Phase.GIVEN_UP)

    def pid_of(self, part: str) -> int | None:
        """Return the process id of a part while it runs."""
        child = self._children.get(part)
        return child.pid if child is not None else None

    def log_tail(self, part: str) -> str:
        """Return the last lines of a part's log."""
        return tail_of(self._layout.log_of(part))

    def run(self, moved: Callable[[str, str], None] | None = None) -> None:
        """Keep the parts running until `stop`; then stop them all. Raises AlreadyRunning when the folder has an owner.

        `moved(part, phase)` is called when a part enters another phase.
        """
        self._moved = moved or _unnoticed
        with owned(self._layout), self._layout.log_of("supervisor").open("a", buffering=1) as file:
            self._journal = journal(file)
            for name in self._parts:
                if end_leftover(self._layout.pid_of(name), grace=5.0):
                    self._journal.warning("embedded.leftover_ended", part=name)
            try:
                while not self._stop.is_set():
                    self._look()
                    ready = self.all_ready
                    self._stop.wait(self._tuning.look_when_ready if ready else self._tuning.look_while_starting)
            finally:
                self._stop_all()

    def _look(self) -> None:
        before = dict(self.states)
        for part in self._parts.values():
            self._advance(part)
        if self.states != before:
            self._write_status()
        for name in self._children:
            rotate(self._layout.log_of(name), self._tuning.largest_log, self._tuning.logs_kept)

    def _advance(self, part: Part) -> None:
        state = self.states[part.name]
        seen = self._observe(part, state)
        now = time.monotonic()
        following, action = step(state, seen, once=part.once, policy=self._tuning.restarts, now=now)
        if following.phase is not state.phase:
            self._journal.info(
                "embedded.part_moved",
                part=part.name,
                phase=following.phase.value,
                failures=following.failures,
                exit_code=following.exit_code,
                after=round(now - state.since, 2),
            )
            self._moved(part.name, following.phase.value)
        if action is Action.START:
            self._start(part)
        elif action is Action.STOP:
            self._children[part.name].stop()
        self.states[part.name] = following

    def _observe(self, part: Part, state: State) -> Observed:
        child = self._children.get(part.name)
        code = child.exit_code() if child is not None else None
        return Observed(
            exit_code=code,
            ready=state.phase is Phase.STARTING and code is None and not part.once and part.ready(),
            alive=part.alive is None
            or state.phase is not Phase.READY
            or self._has_pulse(part.name, part.alive, state.since),
            needs_ready=all(self.states[need].phase is Phase.READY for need in part.needs if need in self._parts),
        )

    def _has_pulse(self, name: str, alive: Callable[[], bool], since: float) -> bool:
        looked, silent = self._pulses.get(name, (since, 0))
        now = time.monotonic()
        if now - max(looked, since) >= self._tuning.pulse:
            silent = 0 if alive() else silent + 1
            self._pulses[name] = (now, silent)
        return silent < self._tuning.silent_looks

    def _start(self, part: Part) -> None:
        self._pulses.pop(part.name, None)
        earlier = self._children.get(part.name)
        if earlier is not None:
            earlier.sweep()
            if part.tidy is not None:
                part.tidy()
        log, pid_file = self._layout.log_of(part.name), self._layout.pid_of(part.name)
        try:
            child = Child(part.name, part.command(), log=log, pid_file=pid_file)
            child.start()
        except (EmbeddedError, OSError) as error:
            if earlier is None:
                raise
            # It ran before, so this may pass: the ended process stays in place and counts as one more failure.
            self._journal.error("embedded.not_started", part=part.name, reason=str(error))
            return
        self._children[part.name] = child

    def _stop_all(self) -> None:
        for names in reversed(self._layers):
            running = [self._children[name] for name in names if name in self._children]
            for child in running:
                child.ask_to_stop()
            for child in running:
                child.stop()
                tidy = self._parts[child.name].tidy
                if tidy is not None:
                    tidy()
                self._journal.info("embedded.stopped", part=child.name, exit_code=child.exit_code())
        self._layout.status.unlink(missing_ok=True)

    def _write_status(self) -> None:
        rows = {
            name: {
                "phase": state.phase.value,
                "pid": self.pid_of(name),
                "failures": state.failures,
                "exit_code": state.exit_code,
            }
            for name, state in self.states.items()
        }
        write_whole(self._layout.status, json.dumps({"ready": self.all_ready, "parts": rows}, indent=2) + "\n")


def _unnoticed(_part: str, _phase: str) -> None:
    """Nobody wants to hear how the parts advance."""


@contextlib.contextmanager
def owned(layout: Layout) -> Iterator[None]:
    """Hold the state folder for this process alone. The lock ends with the process, however it ends. Raises AlreadyRunning."""
    layout.prepare()
    with (layout.run / "supervisor.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = remembered(layout.supervisor_pid)
            raise AlreadyRunning(pid=owner.pid if owner else 0, home=layout.home) from None
        layout.status.unlink(missing_ok=True)  # a killed supervisor's last words are not ours
        remember(layout.supervisor_pid, os.getpid())
        try:
            yield
        finally:
            layout.supervisor_pid.unlink(missing_ok=True)
            fcntl.flock(lock, fcntl.LOCK_UN)
