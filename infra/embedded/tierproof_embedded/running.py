"""A supervisor in a thread of this process, for the demo and for tests that need a whole stack."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tierproof_embedded.errors import EmbeddedError, ExitedEarly, NotReadyInTime
from tierproof_embedded.layout import Layout
from tierproof_embedded.plan import Phase
from tierproof_embedded.supervisor import Part, Supervisor, Tuning

LOOK = 0.02


class _SupervisorThread(threading.Thread):
    """Runs a supervisor; what it raised is kept. The children die with this thread, so it ends after them."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__(name="supervisor", daemon=False)
        self.supervisor = supervisor
        self.raised: EmbeddedError | OSError | None = None

    def run(self) -> None:
        try:
            self.supervisor.run()
        except (EmbeddedError, OSError) as error:
            self.raised = error


@asynccontextmanager
async def supervised(
    parts: Sequence[Part], layout: Layout, tuning: Tuning, patience: float
) -> AsyncIterator[Supervisor]:
    """Run parts until the block ends, and stop them all.

    Raises NotReadyInTime after `patience` seconds, ExitedEarly when a part is given up, AlreadyRunning when another supervisor owns
    the folder, and what a part's command raises.
    """
    supervisor = Supervisor(parts, layout, tuning)
    thread = _SupervisorThread(supervisor)
    thread.start()
    try:
        await _ready(thread, layout, patience)
        yield supervisor
    finally:
        supervisor.stop()
        await asyncio.to_thread(thread.join)


async def _ready(thread: _SupervisorThread, layout: Layout, patience: float) -> None:
    until = time.monotonic() + patience
    while not thread.supervisor.all_ready:
        if thread.raised is not None:
            raise thread.raised
        _refuse_given_up(thread.supervisor, layout)
        if time.monotonic() > until:
            waiting = tuple(name for name, state in thread.supervisor.states.items() if state.phase is not Phase.READY)
            raise NotReadyInTime(parts=waiting, seconds=patience, logs=layout.logs)
        await asyncio.sleep(LOOK)


def _refuse_given_up(supervisor: Supervisor, layout: Layout) -> None:
    for name in supervisor.given_up:
        code = supervisor.states[name].exit_code or 0
        raise ExitedEarly(part=name, code=code, log=layout.log_of(name), tail=supervisor.log_tail(name))


async def all_ready(supervisor: Supervisor) -> None:
    """Return when every part of a running supervisor is ready."""
    while True:
        if supervisor.all_ready:
            return
        await asyncio.sleep(LOOK)


async def fallen(supervisor: Supervisor, part: str) -> None:
    """Return when a part of a running supervisor has a failure behind it."""
    while True:
        if supervisor.states[part].failures:
            return
        await asyncio.sleep(LOOK)
