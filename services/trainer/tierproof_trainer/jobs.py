"""A lock's job on this machine: one folder named by the lock's digest, one process at a time, resumed after any death, done once.

The process is watched: it writes a line of progress per optimiser step, and is stopped when it is silent, too long, or too large.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tierproof_contracts.documents import TrainingLimits
from tierproof_contracts.train_lock import TrainLock

from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.stages.job import ARTIFACT, ENDED, JOB, PROGRESS

STEADY_MEMORY = {  # glibc gives freed blocks back at once and faults them in again: half of the CPU time of small models
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")  # nothing else of the shell reaches a training
LOOK_EVERY_SECONDS = 0.5
GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Where a job's inputs lie: the training Python, the base's source weights, records, the adapter to begin from, converted bases.

    user: the number of the user to train as, who must be able to write the job's folder; None for the one who asks.
    """

    python: Path
    weights: Path
    records: Path
    begin_from: Path | None
    bases: Path
    user: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished job: its folder, files by digest, and what it took."""

    folder: Path
    files: Mapping[str, str]
    steps: int
    tokens: int | None
    progress: tuple[dict[str, Any], ...]
    resumed: int

    @property
    def artifact(self) -> Path:
        """The folder of the artifact."""
        return self.folder / ARTIFACT


Tell = Callable[[dict[str, Any]], None]


def folder_of(lock: TrainLock, jobs: Path) -> Path:
    """Return the folder of a lock's job."""
    return jobs / lock.digest().removeprefix("sha256:")


def finished(folder: Path) -> Trained | None:
    """Return a job's outcome when it has completed and its artifact is there."""
    try:
        said = json.loads((folder / ENDED).read_text())
    except (OSError, ValueError):
        return None
    if said.get("ended") != "completed" or not (folder / ARTIFACT).is_dir():
        return None
    told = progress_of(folder)
    resumed = sum("began" in line for line in told) - 1
    return Trained(
        folder=folder, files=said["files"], steps=said["steps"], tokens=said["tokens"],
        progress=tuple(line for line in told if "step" in line), resumed=resumed,
    )  # fmt: skip


def progress_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of progress; a last one that was cut by a kill is left out."""
    try:
        lines = (folder / PROGRESS).read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def run(
    lock: TrainLock,
    inputs: Inputs,
    *,
    jobs: Path,
    limits: TrainingLimits,
    tell: Tell,
    stopping: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train a lock, or return what it gave before. Blocks; raises TrainingRefused, also when `stopping` says so.

    A process that dies is started again from its last saved state, as often as the limits allow.
    """
    folder = folder_of(lock, jobs)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder) as held:
        if (done := finished(folder)) is not None:
            return done
        _write_job(folder, lock, inputs, limits)
        for attempt in range(1, limits.attempts + 1):
            (folder / ENDED).unlink(missing_ok=True)
            process = _started(folder, inputs, lock.environment.threads, held)
            try:
                code = _followed(process, folder, limits, tell, stopping)
            finally:
                _stopped(process)
            if (done := finished(folder)) is not None:
                return done
            if (refused := _refusal(folder)) is not None:
                raise refused
            tell({"died": code, "attempt": attempt, "of": limits.attempts})
    because = f"the training process ended {limits.attempts} times without a word (last exit code {code})"
    raise TrainingRefused("crashed", because, f"see {folder / 'log'}", again=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Hold a folder's lock; the training process inherits it, so that one that outlives its starter is not doubled."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            because = f"{folder.name}: this lock is being trained by another process"
            raise TrainingRefused("io", because, "wait for it; it will be found finished", again=True) from None
        yield file.fileno()


def _write_job(folder: Path, lock: TrainLock, inputs: Inputs, limits: TrainingLimits) -> None:
    said = {
        "lock": lock.model_dump(mode="json", exclude_none=True),
        "weights": str(inputs.weights),
        "records": str(inputs.records),
        "begin_from": str(inputs.begin_from) if inputs.begin_from else None,
        "bases": str(inputs.bases),
        "save_every": limits.save_every_steps,
        "keep": limits.states_kept,
    }
    fresh = folder / f"{JOB}.new"
    fresh.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    fresh.rename(folder / JOB)


def _started(folder: Path, inputs: Inputs, threads: int, held: int) -> subprocess.Popen[bytes]:
    packages = Path(__file__).parents[1]
    environment = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **STEADY_MEMORY,
        "PYTHONPATH": str(packages),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),
    }
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [str(inputs.python), "-m", "tierproof_trainer.stages", str(folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True, pass_fds=(held,),
            user=inputs.user, group=inputs.user, extra_groups=None if inputs.user is None else [],
        )  # fmt: skip


def _followed(
    process: subprocess.Popen[bytes], folder: Path, limits: TrainingLimits, tell: Tell, stopping: Callable[[], bool]
) -> int:
    """Tell the progress of a process until it ends. Returns its exit code; raises TrainingRefused when it breaks a limit."""
    began = heard = time.monotonic()
    known = len(progress_of(folder))
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_EVERY_SECONDS)
        for line in progress_of(folder)[known:]:
            known, heard = known + 1, time.monotonic()
            tell(line)
        if stopping():
            raise TrainingRefused("crashed", "it was told to stop", "ask again: it resumes", again=True)
        _within(process, limits, time.monotonic() - began, time.monotonic() - heard)
    for line in progress_of(folder)[known:]:
        tell(line)
    return process.returncode


def _within(process: subprocess.Popen[bytes], limits: TrainingLimits, ran: float, silent: float) -> None:
    """Raise TrainingRefused when a limit is broken; the caller stops the process."""
    mend = "raise limits.{} in the training policy, or lock a smaller training; it resumes from its last saved state"
    if ran > limits.wall_seconds:
        raise TrainingRefused("out-of-time", f"ran {ran:.0f} s", mend.format("wall_seconds"), again=True)
    if silent > limits.silent_seconds:
        raise TrainingRefused("stalled", f"no step for {silent:.0f} s", mend.format("silent_seconds"), again=True)
    try:
        resident = psutil.Process(process.pid).memory_info().rss // 2**20
    except psutil.NoSuchProcess:
        return
    if resident > limits.memory_mib:
        raise TrainingRefused("out-of-memory", f"holds {resident} MiB", mend.format("memory_mib"), again=True)


def _stopped(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    for word in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            return


def _refusal(folder: Path) -> TrainingRefused | None:
    """Return what the process said of its failure, when it said something."""
    try:
        said = json.loads((folder / ENDED).read_text())
    except (OSError, ValueError):
        return None
    return TrainingRefused(said["code"], said["because"], said["mend"], again=said["code"] in {"disk-full", "io"})
