"""Compiles a C function into a program of its own and asks it for its results.

The answer and the reference are different programs in different sandboxes; results are compared out here, so an answer never shares
an address space, a file or a moment with what is expected of it.
"""

import json
import re
import secrets
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tierproof_verifier.checks.c_signature import IntegerType, Signature, range_of
from tierproof_verifier.checks.c_vectors import Vector
from tierproof_verifier.sandbox import Ended, Limits, Sandbox

_SUBJECT = "tierproof_subject"
_TOKEN_BYTES = 16
_KNOWN_NAMES = re.compile(
    r"(?:u?int(?:8|16|32|64)_t|_Bool|bool|(?:unsigned |signed |long |short )*(?:int|char|long|short)|void)"
)
_HARNESS = """\
#include <stdint.h>
#include <stdbool.h>
extern long read(int, void *, unsigned long);
extern long write(int, void *, unsigned long);
extern void _exit(int);
extern {prototype};
static struct {{ uint8_t token[{token}]; uint64_t vector[{count}][{width}]; }} in;
static void all(long (*move)(int, void *, unsigned long), int file, void *at, unsigned long size) {{
    unsigned long done = 0;
    while (done < size) {{
        long moved = move(file, (char *)at + done, size - done);
        if (moved <= 0) _exit(3);
        done += (unsigned long)moved;
    }}
}}
int main(void) {{
    all(read, 0, &in, sizeof in);
    for (unsigned long i = 0; i < {count}u; i++) {{
        uint64_t got = (uint64_t)(int64_t){subject}({arguments});
        all(write, 1, &got, sizeof got);
    }}
    all(write, 1, in.token, sizeof in.token);
    _exit(0);
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The compiler's first complaint: position in the function's text, and its message without any name from that text."""

    line: int
    column: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a program returned, vector by vector, until it ended; `complete` when it answered all and proved it."""

    values: tuple[int, ...]
    complete: bool
    ended: Literal["exited", "trapped", "time", "output", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Compiler and programs with their limits."""

    sandbox: Sandbox
    compile_limits: Limits
    run_limits: Limits
    flags: tuple[str, ...]

    async def compiled(self, source: str, signature: Signature, count: int) -> bytes | Refusal:
        """Return a program that answers `count` vectors, or the compiler's refusal of the function."""
        files = {"subject.c": source.encode(), "harness.c": _harness(signature, count).encode()}
        subject, harness = self.sandbox.seen_as("subject.c"), self.sandbox.seen_as("harness.c")
        rename = f"-D{signature.name}={_SUBJECT}"
        both = "-include stdint.h -include stdbool.h"
        script = (
            f'gcc "$@" {rename} {both} -fdiagnostics-format=json -c -o subject.o {subject} && '
            f"gcc -std=c11 -O1 -c -o harness.o {harness} && gcc -o program subject.o harness.o && cat program"
        )
        ended = await self.sandbox.run(["sh", "-c", script, "sh", *self.flags], files=files, limits=self.compile_limits)
        if ended.why == "exited" and ended.exit_code == 0:
            return ended.stdout
        return _refusal(ended)

    async def results(self, program: bytes, signature: Signature, vectors: Sequence[Vector]) -> Results:
        """Run a program on all vectors in one go."""
        token = secrets.token_bytes(_TOKEN_BYTES)
        packed = struct.pack(
            f"<{len(vectors) * len(signature.parameters)}Q",
            *(value & (2**64 - 1) for vector in vectors for value in vector),
        )
        ended = await self.sandbox.run(
            [self.sandbox.seen_as("program")],
            files={"program": program},
            stdin=token + packed,
            limits=self.run_limits,
        )
        return _results(ended, token, len(vectors), signature.returns)


def _harness(signature: Signature, count: int) -> str:
    arguments = ", ".join(
        f"({parameter.type})in.vector[i][{place}]" for place, parameter in enumerate(signature.parameters)
    )
    types = ", ".join(parameter.type for parameter in signature.parameters)
    return _HARNESS.format(
        prototype=f"{signature.returns} {_SUBJECT}({types})",
        token=_TOKEN_BYTES,
        count=count,
        width=len(signature.parameters),
        subject=_SUBJECT,
        arguments=arguments,
    )


def _results(ended: Ended, token: bytes, count: int, returns: IntegerType) -> Results:
    size = 8 * count
    complete = (
        ended.why == "exited" and ended.exit_code == 0 and len(ended.stdout) == size + len(token)
        and ended.stdout.endswith(token)
    )  # fmt: skip
    whole = ended.stdout[: min(size, len(ended.stdout) // 8 * 8)]
    raw = struct.unpack(f"<{len(whole) // 8}{'q' if range_of(returns)[0] < 0 else 'Q'}", whole)
    return Results(values=raw, complete=complete, ended=_how(ended))


def _how(ended: Ended) -> Literal["exited", "trapped", "time", "output", "killed"]:
    if ended.why == "wall-time" or ended.exit_code == 128 + 24:  # SIGXCPU, setrlimit(2)
        return "time"
    if ended.why == "output":
        return "output"
    if ended.exit_code == 128 + 4:  # SIGILL: __builtin_trap of the undefined-behaviour sanitizer
        return "trapped"
    return "killed" if ended.exit_code >= 128 else "exited"  # noqa: PLR2004 - the shell's convention for signals


def _refusal(ended: Ended) -> Refusal:
    if ended.why != "exited" or ended.exit_code >= 128:  # noqa: PLR2004 - the shell's convention for signals
        return Refusal(line=0, column=0, note="the compiler used more time, memory or output than it may")
    for diagnostic in _diagnostics(ended.stderr):
        if diagnostic.get("kind") in {"error", "fatal error"}:
            caret = (diagnostic.get("locations") or [{}])[0].get("caret", {})
            option = diagnostic.get("option", "")
            said = _anonymous(str(diagnostic.get("message", "")))
            note = f"the compiler says: {said}" + (f" [{option}]" if option else "")
            return Refusal(line=int(caret.get("line", 0)), column=int(caret.get("column", 0)), note=note)
    return Refusal(line=0, column=0, note="the compiler refused the function without saying where")


def _diagnostics(stderr: bytes) -> Iterable[dict[str, Any]]:
    for line in stderr.decode(errors="replace").splitlines():
        if line.startswith("["):
            try:
                yield from json.loads(line)
            except json.JSONDecodeError:
                return


def _anonymous(message: str) -> str:
    """Return a compiler message (in the C locale) with quoted parts kept only where they are names of types."""
    return re.sub(r"'([^']*)'", lambda quoted: quoted[1] if _KNOWN_NAMES.fullmatch(quoted[1]) else "...", message)
