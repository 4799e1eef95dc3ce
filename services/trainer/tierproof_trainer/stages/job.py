"""A job's folder: what is asked (`job.json`), what happens (`progress.jsonl`), how it ended (`ended.json`)."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOB, PROGRESS, ENDED, WORK, ARTIFACT = "job.json", "progress.jsonl", "ended.json", "work", "artifact"


class StageFailed(Exception):
    """The training cannot go on; `code` is for programs, `mend` says what helps."""

    def __init__(self, code: str, because: str, mend: str) -> None:
        super().__init__(f"{because}; {mend}")
        self.code, self.because, self.mend = code, because, mend


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training: the lock as JSON, the base's source weights, the records, and an adapter to begin from."""

    folder: Path
    lock: dict[str, Any]
    weights: Path
    records: Path
    begin_from: Path | None
    bases: Path
    save_every: int
    keep: int

    @property
    def work(self) -> Path:
        """The folder of resumable states; never part of the artifact."""
        return self.folder / WORK

    @property
    def artifact(self) -> Path:
        """The folder of what the training gives."""
        return self.folder / ARTIFACT

    @property
    def seeds(self) -> dict[str, int]:
        """The lock's five seeds."""
        return dict(self.lock["seeds"])

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The lock's hyperparameters; fractions are decimal texts."""
        return dict(self.lock["hyperparameters"])


def read(folder: Path) -> Job:
    """Return the job in a folder. Raises OSError, ValueError or KeyError when the caller wrote none."""
    said = json.loads((folder / JOB).read_text())
    return Job(
        folder=folder,
        lock=said["lock"],
        weights=Path(said["weights"]),
        records=Path(said["records"]),
        begin_from=Path(said["begin_from"]) if said.get("begin_from") else None,
        bases=Path(said["bases"]),
        save_every=said["save_every"],
        keep=said["keep"],
    )


def tell(folder: Path, fact: dict[str, Any]) -> None:
    """Append one line to the job's progress: also its heartbeat."""
    with (folder / PROGRESS).open("a") as file:
        file.write(json.dumps({"at": round(time.time(), 3), **fact}, sort_keys=True) + "\n")


def end(folder: Path, fact: dict[str, Any]) -> None:
    """Write how the job ended, at once and whole."""
    fresh = folder / f"{ENDED}.new"
    with fresh.open("w") as file:
        file.write(json.dumps(fact, sort_keys=True, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(folder / ENDED)
