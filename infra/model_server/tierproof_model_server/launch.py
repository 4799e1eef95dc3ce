"""The server process: its backends, its command line, its environment; and a server for tests that cleans up after itself."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from tierproof_model_server.errors import PackageMissing, ServerNotReady
from tierproof_model_server.repository import model_names, write_repository
from tierproof_model_server.settings import ModelServerLayout, ServerSettings

STUB = "triton_python_backend_stub"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend puts its regions
KEPT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
)  # of this process's environment; PYTHONPATH and PYTHONHOME mislead the stub
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommand:
    """What a supervisor starts."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that runs and is ready: its addresses, its process, its log."""

    settings: ServerSettings
    process: psutil.Process
    log: Path
    ready_after_seconds: float

    @property
    def grpc(self) -> str:
        """Return the address for tritonclient.grpc."""
        return f"{self.settings.address}:{self.settings.grpc_port}"


def server_command(layout: ModelServerLayout, settings: ServerSettings) -> ServerCommand:
    """Write the model repository and the backend folder, and return the command of the server.

    Raises PackageMissing, PreparationRefused or PreparedBaseDamaged.
    """
    server = _pytriton() / "tritonserver"
    repository = write_repository(layout)
    backends = _backend_folder(server, layout.home / "backends")
    address = settings.address
    argv = (
        str(server / "bin" / "tritonserver"),
        f"--model-repository={repository.absolute()}",
        f"--backend-directory={backends.absolute()}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in model_names(layout)),
        f"--http-address={address}",
        f"--http-port={settings.http_port}",
        f"--grpc-address={address}",
        f"--grpc-port={settings.grpc_port}",
        f"--metrics-address={address}",
        f"--metrics-port={settings.metrics_port}",
        f"--backend-config=python,shm-default-byte-size={settings.shm_bytes}",
        f"--backend-config=python,shm-region-prefix-name={settings.shm_prefix}",
        f"--exit-timeout-secs={settings.exit_seconds}",
    )
    return ServerCommand(argv=argv, env=_environment(), cwd=layout.home.absolute())


@contextlib.contextmanager
def running_server(layout: ModelServerLayout, *, ready_seconds: float = 60.0) -> Iterator[RunningServer]:
    """Run a server on free ports until the block ends; leaves no process and no shared memory. Raises ServerNotReady."""
    http, grpc, metrics = _free_ports(3)
    settings = ServerSettings(
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        shm_prefix=f"tierproof-{uuid4().hex[:12]}",
        ready_seconds=ready_seconds,
    )
    command = server_command(layout, settings)
    log = layout.home / "server.log"
    started = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command.argv, env=command.env, cwd=command.cwd, stdout=output, stderr=subprocess.STDOUT
        )
    process = psutil.Process(child.pid)
    try:
        _await_ready(child, settings, log)
        yield RunningServer(settings=settings, process=process, log=log, ready_after_seconds=time.monotonic() - started)
    finally:
        stop(process, patience_seconds=settings.exit_seconds * 2)
        child.wait()
        clean_shared_memory(settings.shm_prefix)


def stop(process: psutil.Process, *, patience_seconds: float) -> None:
    """Ask the server to end, then end it and its stubs by their process ids."""
    try:
        family = [process, *process.children(recursive=True)]
        process.terminate()
        process.wait(patience_seconds)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        pass
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=patience_seconds)


def clean_shared_memory(prefix: str) -> list[str]:
    """Remove what a server of this region prefix left behind, and return the names. Call it only after its end."""
    left = sorted(path for path in SHARED_MEMORY.glob(f"{prefix}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return [path.name for path in left]


def _environment() -> dict[str, str]:
    interpreter = Path(sys.executable).absolute().parent
    libraries = [_pytriton().parent / "nvidia_pytriton.libs", Path(sysconfig.get_config_var("LIBDIR") or "")]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        "PATH": f"{interpreter}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # how the stub finds its site-packages
        "LD_LIBRARY_PATH": os.pathsep.join(str(folder) for folder in libraries),
        "HF_HUB_OFFLINE": "1",
        "OPENVINO_TELEMETRY_DISABLED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _pytriton() -> Path:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise PackageMissing(package="nvidia-pytriton")
    return Path(spec.origin).parent


def _backend_folder(server: Path, into: Path) -> Path:
    """Put the Python backend and the stub of this interpreter's version into one folder."""
    stub = server / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}" / STUB
    if not stub.exists():
        raise PackageMissing(
            package=f"nvidia-pytriton with a stub for Python {sys.version_info.major}.{sys.version_info.minor}"
        )
    target = into / "python"
    if not (target / STUB).exists():
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=".backend-") as scratch:
            fresh = Path(scratch) / "python"
            shutil.copytree(server / "backends" / "python", fresh)
            shutil.copy2(stub, fresh / STUB)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
    return into


def _await_ready(child: subprocess.Popen[bytes], settings: ServerSettings, log: Path) -> None:
    until = time.monotonic() + settings.ready_seconds
    address = f"http://{settings.address}:{settings.http_port}/v2/health/ready"
    while time.monotonic() < until:
        if child.poll() is not None:
            raise ServerNotReady(because=f"it ended with {child.returncode}", log=log)
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(address, timeout=1) as answer,
        ):
            if answer.status == 200:  # noqa: PLR2004 - HTTP OK
                return
        time.sleep(POLL_SECONDS)
    raise ServerNotReady(because=f"not within {settings.ready_seconds} s", log=log)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
