"""The services as parts: which user each is, what it needs, and the settings that only it may see."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tierproof_embedded.nats_server import answers_ok
from tierproof_embedded.process import Command
from tierproof_embedded.supervisor import Part

OURS = "TIERPROOF_"
# Where a part is, and what a single service alone may know: never inherited from the shell, always set by the stack.
SET_BY_STACK = ("TIERPROOF_PG_DSN", "TIERPROOF_NKEY_SEED_FILE", "TIERPROOF_HTTP_PORT", "TIERPROOF_HOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service process: its name is that of its NATS user and of its log."""

    name: str
    module: str
    needs: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def environment_of(
    service: Service, common: Mapping[str, str], *, seed: Path, port: int, shell: Mapping[str, str]
) -> dict[str, str]:
    """Return a service's variables: TIERPROOF_... of the shell, what all services share, and its own."""
    passed_on = {name: value for name, value in shell.items() if name.startswith(OURS) and name not in SET_BY_STACK}
    return {
        **passed_on,
        **common,
        "TIERPROOF_NKEY_SEED_FILE": str(seed),
        "TIERPROOF_HTTP_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        **service.environment,
    }


def service_part(service: Service, common: Mapping[str, str], *, seed: Path, port: int, grace: float) -> Part:
    """Return a service as a part, ready when its /readyz says so, started again when its /livez keeps saying no."""

    def command() -> Command:
        environment = environment_of(service, common, seed=seed, port=port, shell=os.environ)
        return Command(
            argv=(sys.executable, "-m", service.module),
            environment=environment,
            grace=grace,
            orphan_signal=signal.SIGKILL,  # the broker is gone, too: nothing can be settled, and a crash loses nothing
        )

    return Part(
        name=service.name,
        command=command,
        ready=lambda: answers_ok(port, "/readyz"),
        alive=lambda: answers_ok(port, "/livez"),
        needs=service.needs,
    )


def step_part(name: str, argv: tuple[str, ...], environment: Mapping[str, str], needs: tuple[str, ...]) -> Part:
    """Return a Python module that runs once as a part, ready when it has succeeded."""
    command = Command(argv=(sys.executable, "-m", *argv), environment={"PYTHONUNBUFFERED": "1", **environment})
    return Part(name=name, command=lambda: command, needs=needs, once=True)
