"""The training environment: another Python with the heavy packages, described by asking it, never imported."""

import json
import subprocess
from pathlib import Path

from tierproof_contracts.train_lock import Environment

from tierproof_trainer.errors import TrainingRefused

PACKAGES = ("accelerate", "datasets", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")
ASKING_SECONDS = 120
_QUESTION = """
import importlib.metadata as m, json, platform, subprocess, sys, torch
driver = None
if torch.cuda.is_available():
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    driver = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
print(json.dumps({
    "python": platform.python_version(),
    "packages": {name: m.version(name) for name in sys.argv[1:]},
    "instruction_set": torch.backends.cpu.get_cpu_capability(),
    "cuda": torch.version.cuda if torch.cuda.is_available() else None,
    "driver": driver,
}))
"""


def described(python: Path, threads: int) -> Environment:
    """Return what training with this Python would depend on. Raises TrainingRefused when packages are missing there."""
    mend = "make the training environment (`make train-venv`) and name its Python in TIERPROOF_TRAINER_PYTHON"
    try:
        told = subprocess.run(
            [str(python), "-c", _QUESTION, *PACKAGES],
            capture_output=True, text=True, timeout=ASKING_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrainingRefused("another-environment", f"{python}: {error}", mend, again=True) from None
    if told.returncode != 0:
        last = (told.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TrainingRefused("another-environment", f"{python}: {last}", mend, again=True)
    return Environment(**json.loads(told.stdout), threads=threads)
