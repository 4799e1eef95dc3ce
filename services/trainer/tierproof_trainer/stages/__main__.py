"""`python -m tierproof_trainer.stages FOLDER`: run the job in a folder; the process ends with its last word in `ended.json`."""

import errno
import os
import re
import sys
from importlib import import_module
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the libraries are imported: a training asks no network
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from tierproof_trainer.stages import job as jobs
from tierproof_trainer.stages.job import StageFailed

FULL = (errno.ENOSPC, errno.EDQUOT)
COMPLETED, FAILED = 0, 1


def main() -> int:
    """Run one job. A failure is told in words in the job's folder; the exit code is 1 then."""
    folder = Path(sys.argv[1])
    asked = jobs.read(folder)
    jobs.tell(folder, {"stage": asked.lock["stage"], "began": True, "pid": os.getpid()})
    try:
        stage = (
            "heads" if asked.lock["stage"] == "heads" else "run"
        )  # torch is imported once the job is known to be readable
        jobs.end(folder, import_module(f"tierproof_trainer.stages.{stage}").run(asked))
    except StageFailed as failed:
        jobs.end(folder, {"ended": "failed", "code": failed.code, "because": failed.because, "mend": failed.mend})
        return FAILED
    except Exception as failed:
        number = system_error(failed)
        if number is None:
            raise
        code = "disk-full" if number in FULL else "io"
        jobs.end(
            folder,
            {"ended": "failed", "code": code, "because": str(failed), "mend": "make room, run again: it resumes"},
        )
        return FAILED
    return COMPLETED


def system_error(failed: Exception) -> int | None:
    """Return the number of the operating system's error behind an exception; None for one of another kind.

    safetensors (Rust) tells it in words, torch's writer tells only that it could not write.
    """
    if isinstance(failed, OSError):
        return failed.errno or errno.EIO
    if found := re.search(r"\(os error ([0-9]+)\)", str(failed)):
        return int(found[1])
    return errno.EIO if "PytorchStreamWriter" in str(failed) or "inline_container" in str(failed) else None


if __name__ == "__main__":
    sys.exit(main())
