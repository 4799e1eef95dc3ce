"""Does a snapshot's build stay flat in memory as it grows? Records per second, peak memory and time of an audit, for three sizes.

Each size is built twice, in two orders and in processes of their own, and then audited; the uids must be equal.
`python loadtests/snapshot_build.py [--largest 1000000] [--memory-mib 64]`
"""

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from tierproof_curator import decide, snapshot
from tierproof_curator.records import LABELS, LineLimits, lines_of
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier

SIZES = (10_000, 100_000, 1_000_000)
SIGNER = Ed25519Signer.from_seed(b"curator key, for load tests only")
WORDS = (
    "pump",
    "valve",
    "dose",
    "alarm",
    "reading",
    "limit",
    "sensor",
    "check",
    "value",
    "tenth",
    "index",
    "ring",
    "clamp",
)
LONGEST = 1 << 20
MOST_GROWTH = 1.25  # peak memory of a size over that of the size before
MIB = 2**20


def record(number: int) -> bytes:
    """Return a record's line of about 450 bytes; a number has one content."""
    chance = random.Random(number)
    prompt, completion = (" ".join(chance.choices(WORDS, k=count)) for count in (35, 20))
    fields = {
        "id": f"r-{number}", "kind": "load-test", "label": LABELS[number % 3], "licence": "Apache-2.0",
        "source": "loadtests/snapshot", "prompt": prompt, "completion": completion,
    }  # fmt: skip
    return json.dumps(fields).encode() + b"\n"


def write(path: Path, count: int, *, backwards: bool) -> None:
    """Write records 0 to count, or the other way round."""
    with path.open("wb") as file:
        file.writelines(record(number) for number in (range(count - 1, -1, -1) if backwards else range(count)))


def work(step: str, path: Path, folder: Path, memory: int) -> dict[str, Any]:
    """Build or audit in this process, and say how long that took and what it held at most."""
    began, used = time.perf_counter(), time.process_time()
    if step == "audit":
        found, _ = snapshot.verified(
            path, {"curator": Ed25519Verifier(SIGNER.public_key)}, LineLimits(longest_line=LONGEST)
        )
    else:
        rules = decide.Rules(labels=LABELS, licences=("Apache-2.0",))
        lines = lines_of(path, LineLimits(longest_line=LONGEST))
        found = snapshot.build(lines, into=folder, rules=rules, sealed=(), signer=SIGNER, memory=memory)
    return {
        "uid": found.uid,
        "folder": str(found.folder),
        "records": found.manifest["records"],
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - used, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def apart(step: str, path: Path, folder: Path, memory: int) -> dict[str, Any]:
    """Do that work in a process of its own, so that its peak is its own."""
    words = [sys.executable, __file__, "--step", step, "--path", str(path), "--folder", str(folder)]
    said = subprocess.run([*words, "--memory-mib", str(memory // MIB)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def measured(count: int, scratch: Path, memory: int) -> dict[str, Any]:
    """Return the answer for one size."""
    path = scratch / "records.jsonl"
    write(path, count, backwards=False)
    size = path.stat().st_size
    first = apart("build", path, scratch / "one", memory)
    write(path, count, backwards=True)
    second = apart("build", path, scratch / "two", memory)
    path.unlink()
    snapshot.removed(Path(second["folder"]))
    audit = apart("audit", Path(first["folder"]), scratch, memory)
    snapshot.removed(Path(first["folder"]))
    kept = ("seconds", "cpu_seconds", "peak_mib")
    return {
        "records": count,
        "input_mib": round(size / MIB, 1),
        "build": {name: first[name] for name in kept} | {"records_per_second": round(count / first["seconds"])},
        "build_backwards": {name: second[name] for name in kept},
        "audit": {name: audit[name] for name in kept} | {"records_per_second": round(count / audit["seconds"])},
        "same_uid": len({first["uid"], second["uid"], audit["uid"]}) == 1 and first["records"] == count,
    }


def main() -> None:
    """Measure and write the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--memory-mib", type=int, default=64)
    parser.add_argument("--step", choices=("build", "audit"))
    parser.add_argument("--path", type=Path)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    memory = asked.memory_mib * MIB
    if asked.step:
        sys.stdout.write(json.dumps(work(asked.step, asked.path, asked.folder, memory)))
        return
    before = machine.describe()
    with tempfile.TemporaryDirectory() as scratch:
        sizes = [measured(count, Path(scratch), memory) for count in SIZES if count <= asked.largest]
    peaks = [each["build"]["peak_mib"] for each in sizes]
    growth = [round(after / first, 3) for first, after in itertools.pairwise(peaks)]
    result = {
        "question": "does a build stay flat in memory, and does every order give the same uid?",
        "memory_setting_mib": asked.memory_mib,
        "sizes": sizes,
        "peak_growth": growth,
        "target_growth_beyond_the_memory_setting": MOST_GROWTH,
        "met": all(each["same_uid"] for each in sizes) and all(part <= MOST_GROWTH for part in growth[1:]),
        "machine": before,
        "load_after": machine.load(),
    }
    machine.write("snapshot_build", result)
    print(json.dumps({name: result[name] for name in ("sizes", "peak_growth", "met")}, indent=1))


if __name__ == "__main__":
    main()
