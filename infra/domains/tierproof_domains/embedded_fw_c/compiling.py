"""Runs many C functions as one program. It runs what it is given, without walls: only for functions that `plain` lets through."""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tierproof_domains.embedded_fw_c.vectors import Vector

_FLAGS = (
    "-std=c11", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error",
    "-fmax-errors=0", "-fdiagnostics-format=text", "-fno-diagnostics-show-caret",
)  # fmt: skip
_COMPILE_SECONDS = 300
_RUN_SECONDS = 4
_HEAD = ["#include <stdint.h>", "#include <stdbool.h>", "#include <stdio.h>"]
_STATEMENTS = frozenset({"if", "for", "while", "switch", "return"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A function's C source, the types of its parameters, and the arguments to try."""

    source: str
    types: tuple[str, ...]
    vectors: tuple[Vector, ...]


def plain(source: str, declared: str) -> bool:
    """Tell whether a text is one function of this prototype that calls nothing, and has neither strings nor preprocessor lines."""
    head, _, body = " ".join(source.split()).partition("{")
    calls = set(re.findall(r"([A-Za-z_]\w*)\s*\(", body)) - _STATEMENTS
    return (
        head.strip() == declared and not calls and not re.search(r"[#\"'\\\[]|asm", body) and _closes_once("{" + body)
    )


def results_of(trials: Sequence[Trial]) -> list[tuple[int, ...] | str]:
    """Return for each trial what its function returned, or what kept it: the compiler's first complaint, or that it did not end well."""
    texts = [f"static {_renamed(trial.source, number)}" for number, trial in enumerate(trials)]
    kept: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        while True:
            lines, starts = _program(trials, texts, [number for number in range(len(trials)) if number not in kept])
            (Path(folder) / "all.c").write_text("\n".join(lines) + "\n")
            done = subprocess.run(
                ["gcc", *_FLAGS, "-o", "all", "all.c"],
                cwd=folder, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                break
            kept |= _complaints(done.stderr, starts)
        values = _ran(f"{folder}/all")
    if values is None:
        return _apart(trials)
    return [kept[number] if number in kept else values[number] for number in range(len(trials))]


def _apart(trials: Sequence[Trial]) -> list[tuple[int, ...] | str]:
    """Return the results of two halves, for one function in the whole stopped the program."""
    if len(trials) == 1:
        return ["the function did not return for every input"]
    middle = len(trials) // 2
    return [*results_of(trials[:middle]), *results_of(trials[middle:])]


def _ran(program: str) -> dict[int, tuple[int, ...]] | None:
    try:
        ran = subprocess.run([program], capture_output=True, text=True, timeout=_RUN_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    rows = (line.split() for line in ran.stdout.splitlines())
    return {int(row[0]): tuple(map(int, row[1:])) for row in rows}


def _program(
    trials: Sequence[Trial], texts: Sequence[str], good: Iterable[int]
) -> tuple[list[str], list[tuple[int, int]]]:
    lines, starts, calls = list(_HEAD), [], []
    for number in good:
        starts.append((len(lines) + 1, number))
        lines += [*texts[number].split("\n"), *_driver(number, trials[number])]
        calls.append(f"run{number}();")
    return [*lines, "int main(void) {", *calls, "return 0; }"], starts


def _driver(number: int, trial: Trial) -> Iterator[str]:
    rows = ", ".join("{" + ", ".join(f"{value}LL" for value in vector) + "}" for vector in trial.vectors)
    arguments = ", ".join(f"({kind})in[i][{place}]" for place, kind in enumerate(trial.types))
    yield f"static void run{number}(void) {{"
    yield f"static const long long in[][{len(trial.types)}] = {{{rows}}};"
    yield f'printf("{number}");'
    yield "for (unsigned i = 0; i < sizeof in / sizeof in[0]; i++)"
    yield f'printf(" %lld", (long long)f{number}({arguments}));'
    yield 'puts(""); }'


def _complaints(stderr: str, starts: list[tuple[int, int]]) -> dict[int, str]:
    """Return the first complaint about each function. Raises `RuntimeError` when gcc names none: then it is gcc that is broken."""
    found: dict[int, str] = {}
    for line, said in re.findall(r"^all\.c:(\d+):\d+: error: (.*)$", stderr, re.MULTILINE):
        owner = max((start for start in starts if start[0] <= int(line)), default=None)
        if owner is not None:
            found.setdefault(owner[1], f"the compiler says: {said}")
    if not found:
        raise RuntimeError(f"gcc failed without naming a function: {stderr[:500]}")
    return found


def _renamed(source: str, number: int) -> str:
    return re.sub(r"\b\w+\s*(?=\()", f"f{number}", source, count=1)


def _closes_once(text: str) -> bool:
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return not text[place + 1 :].strip()
    return False
