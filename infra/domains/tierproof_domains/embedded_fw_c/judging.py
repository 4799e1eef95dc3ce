"""Judges answers with gcc alone: many answers are one program, which prints what each returns for each of its vectors."""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tierproof_domains.embedded_fw_c.faults import Vector

_FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fmax-errors=0", "-fwrapv")
_LONGEST_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A function's C source, the types of its parameters, and the arguments to try."""

    source: str
    types: tuple[str, ...]
    vectors: tuple[Vector, ...]


def results_of(trials: Sequence[Trial]) -> list[tuple[int, ...] | str]:
    """Return for each trial what its function returned, or the compiler's first complaint about it."""
    texts = [_renamed(trial.source, f"f{number}") for number, trial in enumerate(trials)]
    complaints: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        while True:
            good = [number for number in range(len(trials)) if number not in complaints]
            lines, starts = _program(trials, texts, good)
            (Path(folder) / "all.c").write_text("\n".join(lines) + "\n")
            command = ["gcc", *_FLAGS, "-fdiagnostics-format=text", "-fno-diagnostics-show-caret", "-o", "all", "all.c"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False
            )
            if done.returncode == 0:
                break
            found = _complaints(done.stderr, starts)
            if not found:
                raise RuntimeError(f"gcc failed without naming a function: {done.stderr[:500]}")
            complaints |= found
        ran = subprocess.run([f"{folder}/all"], capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=True)
    values = {int(line.split()[0]): tuple(map(int, line.split()[1:])) for line in ran.stdout.splitlines()}
    return [complaints[number] if number in complaints else values[number] for number in range(len(trials))]


def _program(
    trials: Sequence[Trial], texts: Sequence[str], good: Iterable[int]
) -> tuple[list[str], list[tuple[int, int]]]:
    lines = ["#include <stdint.h>", "#include <stdbool.h>", "#include <stdio.h>"]
    starts, mains = [], []
    for number in good:
        trial = trials[number]
        starts.append((len(lines) + 1, number))
        lines += f"static {texts[number]}".split("\n")
        width = len(trial.types)
        flat = ", ".join(f"{{{', '.join(f'{value}LL' for value in vector)}}}" for vector in trial.vectors)
        arguments = ", ".join(f"({kind})in[i][{place}]" for place, kind in enumerate(trial.types))
        lines.append(f"static void run{number}(void) {{ static const long long in[][{width}] = {{ {flat} }};")
        lines.append(
            f'printf("{number}"); for (unsigned i = 0; i < sizeof in / sizeof in[0]; i++) '
            f'printf(" %lld", (long long)f{number}({arguments})); puts(""); }}'
        )
        mains.append(f"run{number}();")
    return [*lines, "int main(void) {", *mains, "return 0; }"], starts


def _complaints(stderr: str, starts: list[tuple[int, int]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for line, said in re.findall(r"^all\.c:(\d+):\d+: error: (.*)$", stderr, re.MULTILINE):
        owner = max((start for start in starts if start[0] <= int(line)), default=None)
        if owner is not None:
            found.setdefault(owner[1], said)
    return found


def _renamed(source: str, name: str) -> str:
    return re.sub(r"\b\w+(?=\()", name, source, count=1)
