"""Runs a compiler and the programs that it makes where they can do no harm.

Fresh user, mount, pid, network, ipc and uts namespaces; a root folder that holds the read-only toolchain, one read-only input folder
and a small tmpfs, and nothing else of the machine; an empty environment; no capabilities; limits on CPU, memory, processes,
file size, output and wall time. See namespaces(7), pivot_root(2), setrlimit(2), prctl(2) PR_SET_NO_NEW_PRIVS.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from tierproof_verifier.errors import SandboxRefused

log = structlog.get_logger()

_ENTER = Path(__file__).with_name("enter.sh")
_NEEDED = ("unshare", "setpriv", "prlimit", "mount", "umount", "pivot_root", "sh", "gcc")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C", "TMPDIR": "/tmp"}  # noqa: S108 - the sandbox's own tmpfs
_READY = b"ready\n"
_BURIAL_SECONDS = 2  # a kernel that takes longer to end a killed process has other troubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one command may use: seconds of CPU, milliseconds of wall time, bytes of memory, files and output, processes."""

    cpu_seconds: int
    wall_ms: int
    address_bytes: int
    processes: int
    file_bytes: int
    tmp_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended. `exit_code` follows the shell: 128 + n after signal n. Output is cut at its limit."""

    why: Literal["exited", "wall-time", "output"]
    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Where commands run.

    `folders` are shown read-only; `account` is the (uid, gid) to run as when the service itself runs as root. `weaker` gives up the
    namespaces and keeps the limits alone.
    """

    folders: tuple[str, ...]
    account: tuple[int, int]
    weaker: bool = False

    async def run(
        self, command: Sequence[str], *, files: Mapping[str, bytes], stdin: bytes = b"", limits: Limits
    ) -> Ended:
        """Run a command that sees `files` in `/in` (relative names in the weaker sandbox: its working directory is `tmp`, beside `in`).

        Raises `SandboxRefused` when the walls cannot be built; nothing was run then.
        """
        async with self._box(files) as box:
            line = self._line(box, command, limits)
            ended = await _run_group(line, box / "tmp", stdin, limits)
        if not ended.stderr.startswith(_READY):
            said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or [ended.why]
            raise SandboxRefused(
                f"the sandbox could not be built ({said[0][:200]}); allow user namespaces on this host, or set "
                "TIERPROOF_VERIFIER_ALLOW_WEAKER_SANDBOX=true where no secret can be read"
            )
        return Ended(
            why=ended.why, exit_code=ended.exit_code, stdout=ended.stdout, stderr=ended.stderr.removeprefix(_READY)
        )

    def seen_as(self, name: str) -> str:
        """Return the path under which a command sees one of its files."""
        return f"../in/{name}" if self.weaker else f"/in/{name}"

    def _line(self, box: Path, command: Sequence[str], limits: Limits) -> list[str]:
        caps = [
            "--core=0", "--nofile=64", f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 1}", f"--as={limits.address_bytes}",
            f"--fsize={limits.file_bytes}",
        ]  # fmt: skip
        if self.weaker:
            return ["prlimit", *caps, "--", "sh", "-c", 'echo ready >&2; exec "$@"', "sh", *command]
        become = []
        if os.geteuid() == 0:
            uid, gid = self.account
            become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"]
        apart = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
        bounds = [limits.tmp_bytes, limits.cpu_seconds, limits.address_bytes, limits.processes, limits.file_bytes]
        enter = ["sh", str(box / "enter.sh"), str(box / "root"), str(box / "in"), *map(str, bounds)]
        return [*become, "unshare", *apart, "--", *enter, " ".join(self.folders), "--", *command]

    @contextlib.asynccontextmanager
    async def _box(self, files: Mapping[str, bytes]) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(prefix="tierproof-check-") as name:
            box = Path(name)
            for folder in ("in", "root", "tmp"):
                (box / folder).mkdir(mode=0o755)
            for file, content in files.items():
                (box / "in" / file).write_bytes(content)
                (box / "in" / file).chmod(0o555)
            shutil.copyfile(_ENTER, box / "enter.sh")
            if os.geteuid() == 0:
                os.chown(box, *self.account)
            yield box


async def opened(*, folders: tuple[str, ...], account: tuple[int, int], allow_weaker: bool, probe: Limits) -> Sandbox:
    """Return a sandbox that has been tried. Raises `SandboxRefused` where only a weaker one is to be had and none is allowed."""
    missing = [tool for tool in _NEEDED if shutil.which(tool, path=_PATH) is None]
    if "gcc" in missing or (missing and not allow_weaker):
        raise SandboxRefused(f"{', '.join(missing)} is not installed; install gcc and util-linux")
    sandbox = Sandbox(folders=folders, account=account)
    try:
        await sandbox.run(["true"], files={}, limits=probe)
    except SandboxRefused as refused:
        if not allow_weaker:
            raise
        log.warning("sandbox.weaker", because=refused.diagnosis(), keeps="limits", loses="network and file walls")
        return Sandbox(folders=folders, account=account, weaker=True)
    return sandbox


async def _run_group(line: list[str], where: Path, stdin: bytes, limits: Limits) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *line,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=where,
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    why: Literal["exited", "wall-time", "output"] = "exited"
    streams: tuple[bytearray, bytearray] = (bytearray(), bytearray())
    try:
        async with asyncio.timeout(limits.wall_ms / 1000):
            await _talk(process, stdin, streams, limits.output_bytes)
            await process.wait()
    except TimeoutError:
        why = "wall-time"
    except _TooMuch:
        why = "output"
    finally:
        _kill(process.pid)
        await _buried(process)
    exit_code = process.returncode if process.returncode is not None else -signal.SIGKILL
    code = exit_code if exit_code >= 0 else 128 - exit_code
    return Ended(why=why, exit_code=code, stdout=bytes(streams[0]), stderr=bytes(streams[1]))


class _TooMuch(Exception):
    """The command wrote more than it may."""


async def _talk(
    process: asyncio.subprocess.Process, stdin: bytes, streams: tuple[bytearray, bytearray], most: int
) -> None:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise SandboxRefused("the command has no pipes")
    jobs = [
        asyncio.ensure_future(_feed(process.stdin, stdin)),
        asyncio.ensure_future(_drain(process.stdout, streams[0], most)),
        asyncio.ensure_future(_drain(process.stderr, streams[1], most)),
    ]
    try:
        await asyncio.gather(*jobs)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def _feed(pipe: asyncio.StreamWriter, stdin: bytes) -> None:
    try:
        pipe.write(stdin)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        return  # the command ended without reading; how it ended tells more


async def _drain(pipe: asyncio.StreamReader, into: bytearray, most: int) -> None:
    while chunk := await pipe.read(65536):
        into.extend(chunk[: most - len(into)])
        if len(into) >= most:
            raise _TooMuch


async def _buried(process: asyncio.subprocess.Process) -> None:
    """Read a killed command's pipes to their end and reap it; one that keeps a pipe open (in the weaker sandbox) is not waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BURIAL_SECONDS):
            for pipe in (process.stdout, process.stderr):
                while pipe is not None and await pipe.read(65536):
                    continue
            await process.wait()


def _kill(group: int) -> None:
    """Kill the session's process group; the namespaces' first process is in it, and takes all others with it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
