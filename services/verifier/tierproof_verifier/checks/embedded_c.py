"""Kind `embedded-fw-c`: one C function that compiles without a warning and agrees with its reference on every input tried."""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tierproof_contracts.verification import Finding

from tierproof_verifier.checks.c_program import Bench, Results
from tierproof_verifier.checks.c_signature import Signature, signature_from
from tierproof_verifier.checks.c_source import NotPlain, Source, constants_of_text, read_function, without_fence
from tierproof_verifier.checks.c_vectors import Vector, vectors_for
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import Assessment, Sheet, finding

_First = TypeVar("_First")
_Second = TypeVar("_Second")

_STOPPED = {
    "trapped": ("undefined-behaviour", "the function does something undefined in C for this input"),
    "time": ("endless", "the function did not return in time for this input"),
    "output": ("wrote", "the function wrote output"),
    "killed": ("crashed", "the function crashed for this input"),
    "exited": ("stopped-early", "the program ended before the function returned for this input"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CPolicy:
    """How many inputs are tried, which constructs are refused, how large an answer may be, whether the expected value is told."""

    vectors: int
    most_tests: int
    forbidden: frozenset[str]
    most_bytes: int
    most_findings: int
    show_expected: bool


@dataclass(slots=True, kw_only=True)
class CCheck:
    """Compares answers with one reference. The reference is asked once per set of inputs."""

    bench: Bench
    policy: CPolicy
    signature: Signature
    reference: str
    tests: tuple[Vector, ...]
    seed: str
    _expected: dict[tuple[Vector, ...], tuple[int, ...]] = field(default_factory=dict)

    async def assess(self, answer: str) -> Assessment:
        """Return what is wrong with one answer. Raises `InputRefused` when the reference itself fails, `SandboxRefused`."""
        sheet = Sheet(self.policy.most_findings)
        if without_fence(answer)[1]:
            sheet.record("fence-removed")
        try:
            source = read_function(
                answer, self.signature, forbidden=self.policy.forbidden, most_bytes=self.policy.most_bytes
            )
        except NotPlain as fault:
            sheet.record("plain-function", [fault.found])
            return sheet.assessment()
        sheet.record("plain-function")
        await self._against_reference(source, sheet)
        return sheet.assessment()

    async def _against_reference(self, source: Source, sheet: Sheet) -> None:
        vectors = vectors_for(
            self.signature,
            seed=self.seed,
            most=self.policy.vectors,
            tests=self.tests,
            constants=constants_of_text(self.reference) | source.constants,
        )
        program, expected = await _both(
            self.bench.compiled(source.text, self.signature, len(vectors)), self._expected_for(vectors)
        )
        if not isinstance(program, bytes):
            where = f"{program.line + source.lines_above}:{program.column}" if program.line else ""
            sheet.record("compiles", [finding("does-not-compile", where, program.note)])
            return
        sheet.record("compiles")
        results = await self.bench.results(program, self.signature, vectors)
        sheet.record("agrees-with-reference", self._difference(vectors, expected, results))

    async def _expected_for(self, vectors: tuple[Vector, ...]) -> tuple[int, ...]:
        if vectors not in self._expected:
            program = await self.bench.compiled(self.reference, self.signature, len(vectors))
            if not isinstance(program, bytes):
                wrong = f"does not compile (line {program.line}: {program.note})"
                raise InputRefused("reference", wrong, f"give a warning-free `{self.signature.prototype()}`")
            results = await self.bench.results(program, self.signature, vectors)
            if not results.complete:
                at = _shown(self.signature, vectors[min(len(results.values), len(vectors) - 1)])
                wrong = f"fails itself ({_STOPPED[results.ended][0]} at {at})"
                raise InputRefused("reference", wrong, "mend it, or bound its parameters by min and max in `signature`")
            self._expected[vectors] = results.values
        return self._expected[vectors]

    def _difference(self, vectors: tuple[Vector, ...], expected: tuple[int, ...], results: Results) -> list[Finding]:
        """Return the first counterexample; several would draw the reference's constants."""
        for vector, wanted, got in zip(vectors, expected, results.values, strict=False):
            if wanted != got:
                told = f", expected {wanted}" if self.policy.show_expected else ", which is wrong"
                return [finding("wrong-result", _shown(self.signature, vector), f"the function returned {got}{told}")]
        if results.complete:
            return []
        code, note = _STOPPED[results.ended]
        return [finding(code, _shown(self.signature, vectors[min(len(results.values), len(vectors) - 1)]), note)]


def check_from(inputs: Mapping[str, str], *, seed: str, bench: Bench, policy: CPolicy) -> CCheck:
    """Return the check for a request's inputs `signature`, `reference` and, optionally, `tests`. Raises `InputRefused`."""
    for name, mend in (
        ("signature", "describe the function as JSON"),
        ("reference", "give C source of a right function"),
    ):
        if name not in inputs:
            raise InputRefused(name, "is missing", mend)
    signature = signature_from(inputs["signature"])
    if len(inputs["reference"].encode()) > policy.most_bytes:
        raise InputRefused("reference", f"is larger than {policy.most_bytes} bytes", "shorten it")
    tests = _tests_from(inputs.get("tests", "[]"), signature, policy.most_tests)
    return CCheck(
        bench=bench, policy=policy, signature=signature, reference=inputs["reference"], tests=tests, seed=seed
    )


def _tests_from(text: str, signature: Signature, most: int) -> tuple[Vector, ...]:
    mend = "give a JSON list of lists of integers, one per parameter"
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise InputRefused("tests", "is not JSON", mend) from None
    if not isinstance(given, list) or any(not _is_vector(vector) for vector in given):
        raise InputRefused("tests", "is not a list of argument vectors", mend)
    if len(given) > most:
        raise InputRefused("tests", f"has more than {most} vectors", "give fewer")
    vectors = tuple(tuple(int(value) for value in vector) for vector in given)
    for fault in signature.vector_faults(vectors):
        raise InputRefused("tests", f"does not fit the signature ({fault})", mend)
    return vectors


def _is_vector(vector: object) -> bool:
    return isinstance(vector, list) and all(isinstance(value, int) for value in vector)


def _shown(signature: Signature, vector: Vector) -> str:
    return ", ".join(f"{parameter.name}={value}" for parameter, value in zip(signature.parameters, vector, strict=True))


async def _both(first: Awaitable[_First], second: Awaitable[_Second]) -> tuple[_First, _Second]:
    """Await two things at once; both have ended when this returns or raises."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(two, BaseException):
        raise two
    return one, two
