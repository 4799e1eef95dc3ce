"""What this machine has and lacks, as named checks; each failed one says what mends it."""

import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from tierproof_embedded import nats_server, ports, postgres, witness
from tierproof_embedded.detached import status_of
from tierproof_embedded.errors import EmbeddedError
from tierproof_embedded.process import remembered
from tierproof_embedded.settings import EmbeddedSettings

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: whether it passed, what was found, and the mend when it did not. `serious` ones stop the stack."""

    name: str
    passed: bool
    found: str
    mend: str = ""
    serious: bool = True


def examine(settings: EmbeddedSettings) -> list[Finding]:
    """Run every check."""
    checks: tuple[Callable[[EmbeddedSettings], Finding], ...] = (
        python_version,
        c_compiler,
        broker,
        database,
        sandbox,
        disk_space,
        memory,
        chosen_ports,
        witness_memory,
        base_model,
        parts,
    )
    return [check(settings) for check in checks]


def healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing serious failed."""
    return all(finding.passed or not finding.serious for finding in findings)


def python_version(_settings: EmbeddedSettings) -> Finding:
    """Require the Python for which the model server's stub is built."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        name="python",
        passed=sys.version_info[:2] == (3, 11),
        found=found,
        mend="use Python 3.11: the model server's stub of the locked wheels is built for it",
    )


def c_compiler(_settings: EmbeddedSettings) -> Finding:
    """Require gcc, which checks answers in C."""
    path = shutil.which("gcc")
    return Finding(
        name="gcc",
        passed=path is not None,
        found=path or "none",
        mend="install gcc and the C library's headers (Debian: apt-get install gcc libc6-dev)",
    )


def broker(settings: EmbeddedSettings) -> Finding:
    """Require nats-server, unless a real one is named."""
    if settings.nats_url is not None:
        return Finding(name="broker", passed=True, found="TIERPROOF_NATS_URL")
    try:
        return Finding(name="broker", passed=True, found=nats_server.binary().name)
    except EmbeddedError as error:
        return Finding(name="broker", passed=False, found="none", mend=error.diagnosis())


def database(settings: EmbeddedSettings) -> Finding:
    """Require PostgreSQL and an identity to run it as, unless a real one is named."""
    if settings.pg_dsn is not None:
        return Finding(name="database", passed=True, found="TIERPROOF_PG_DSN")
    try:
        postgres.binaries()
        return Finding(name="database", passed=True, found=f"runs as {postgres.identity_here().value}")
    except EmbeddedError as error:
        return Finding(name="database", passed=False, found="none", mend=error.diagnosis())


def sandbox(_settings: EmbeddedSettings) -> Finding:
    """Want user namespaces, in which the verifier runs compilers."""
    passed = postgres.namespaces_work()
    return Finding(
        name="user namespaces",
        passed=passed,
        found="allowed" if passed else "refused",
        mend="allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or a container profile that permits unshare)",
        serious=False,
    )


def disk_space(settings: EmbeddedSettings) -> Finding:
    """Require room for the stores."""
    place = next(folder for folder in (settings.layout.home, *settings.layout.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    return Finding(
        name="disk",
        passed=free >= settings.least_disk,
        found=f"{free / GIB:.1f} GiB free",
        mend=f"make room: {settings.least_disk / GIB:.1f} GiB are needed, or set TIERPROOF_HOME to a larger disk",
    )


def memory(settings: EmbeddedSettings) -> Finding:
    """Want room for the model server."""
    free = psutil.virtual_memory().available
    return Finding(
        name="memory",
        passed=free >= settings.least_memory or remembered(settings.layout.supervisor_pid) is not None,
        found=f"{free / GIB:.1f} GiB available",
        mend=f"free some memory: {settings.least_memory / GIB:.1f} GiB are needed",
        serious=False,
    )


def chosen_ports(settings: EmbeddedSettings) -> Finding:
    """Require that the kept ports are free, or ours."""
    try:
        chosen = ports.read(settings.layout.state)
    except EmbeddedError as error:
        return Finding(name="ports", passed=False, found="damaged", mend=error.diagnosis())
    if remembered(settings.layout.supervisor_pid) is not None:
        return Finding(name="ports", passed=True, found="in use by the running stack")
    taken = [f"{part} {port}" for part, port in chosen.items() if not ports.is_free(port)]
    return Finding(
        name="ports",
        passed=not taken,
        found=", ".join(taken) if taken else f"{len(chosen)} chosen, all free",
        mend="stop the program that holds them, or remove state.json from the state folder",
    )


def witness_memory(settings: EmbeddedSettings) -> Finding:
    """Require that a witness with keys still has its memory, and say how much of the ledger it has cosigned."""
    try:
        size = witness.cosigned_size(settings.layout, settings)
    except EmbeddedError as error:
        return Finding(name="witness", passed=False, found="no memory", mend=error.diagnosis())
    found = "not started yet" if size is None else f"has cosigned {size} ledger entries"
    return Finding(name="witness", passed=True, found=found)


def base_model(settings: EmbeddedSettings) -> Finding:
    """Tell whether the base model is prepared; the first start does it."""
    if settings.triton_url is not None:
        return Finding(name="base model", passed=True, found="TIERPROOF_TRITON_URL")
    prepared = settings.layout.models.exists() and any(settings.layout.models.iterdir())
    return Finding(
        name="base model",
        passed=prepared,
        found="prepared" if prepared else "not prepared",
        mend="the first `tierproof up` prepares it, which takes about a minute",
        serious=False,
    )


def parts(settings: EmbeddedSettings) -> Finding:
    """Tell which parts of a running stack are not ready."""
    status = status_of(settings.layout)
    if status is None:
        return Finding(name="stack", passed=True, found="not running", serious=False)
    ill = [name for name, phase in status.items() if phase != "ready"]
    return Finding(
        name="stack",
        passed=not ill,
        found="running" if not ill else f"not ready: {', '.join(ill)}",
        mend=f"`tierproof logs {' '.join(ill)}` shows why",
    )
