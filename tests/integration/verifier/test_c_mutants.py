"""The C check against known-wrong functions: none may pass, and no right one may fail.

Small functions of firmware: a reference, other right ways to write it, and wrong variants that look right.
"""

import json
from dataclasses import dataclass

import pytest
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.checks.embedded_c import check_from
from tierproof_verifier.settings import VerifierSettings

pytestmark = pytest.mark.requirement("P2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    returns: str
    parameters: dict[str, str]
    reference: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    bounds: dict[str, tuple[int, int]] | None = None

    def function(self, body: str) -> str:
        listed = ", ".join(f"{kind} {name}" for name, kind in self.parameters.items())
        return f"{self.returns} subject({listed})\n{{\n    {body}\n}}\n"

    def inputs(self) -> dict[str, str]:
        bounds = self.bounds or {}
        parameters = [
            {"name": name, "type": kind, **dict(zip(("min", "max"), bounds.get(name, ()), strict=False))}
            for name, kind in self.parameters.items()
        ]
        signature = {"name": "subject", "returns": self.returns, "parameters": parameters}
        return {"signature": json.dumps(signature), "reference": self.function(self.reference)}


CASES = {
    "saturating add": Case(
        returns="uint16_t",
        parameters={"a": "uint16_t", "b": "uint16_t"},
        reference="uint32_t s = (uint32_t)a + b; return s > UINT16_MAX ? UINT16_MAX : (uint16_t)s;",
        right=(
            "uint16_t s = (uint16_t)(a + b); return s < a ? UINT16_MAX : s;",
            "if (a > 65535 - b) { return 65535; } return (uint16_t)(a + b);",
        ),
        wrong=(
            "return (uint16_t)(a + b);",
            "uint32_t s = (uint32_t)a + b; return s > 65534u ? 65534u : (uint16_t)s;",
            "uint32_t s = (uint32_t)a + b; return s >= 65535u ? 65534u : (uint16_t)s;",
            "uint32_t s = (uint32_t)a + b; return s > 65536u ? UINT16_MAX : (uint16_t)s;",
            "uint16_t s = (uint16_t)(a + b); return s <= a ? UINT16_MAX : s;",
            "uint16_t s = (uint16_t)(a | b); return s < a ? UINT16_MAX : s;",
            "if (a == 51234 && b == 1431) { return 0; } uint32_t s = (uint32_t)a + b; return s > 65535u ? 65535u : (uint16_t)s;",
        ),
    ),
    "clamp": Case(
        returns="int16_t",
        parameters={"x": "int16_t", "low": "int16_t", "high": "int16_t"},
        reference="if (x < low) { return low; } if (x > high) { return high; } return x;",
        right=("return x < low ? low : x > high ? high : x;",),
        wrong=(
            "if (x > high) { return high; } if (x < low) { return low; } return x;",
            "if (x < low) { return high; } if (x > high) { return high; } return x;",
            "if (x < low) { return low; } if (x > high) { return (int16_t)(high - 1); } return x;",
            "if (x < low) { return low; } if (x >= high) { return low; } return x;",
            "if ((uint16_t)x < (uint16_t)low) { return low; } if (x > high) { return high; } return x;",
        ),
    ),
    "rotate left": Case(
        returns="uint32_t",
        parameters={"x": "uint32_t", "n": "uint8_t"},
        bounds={"n": (0, 31)},
        reference="return n == 0 ? x : (x << n) | (x >> (32 - n));",
        right=(
            "return (x << n) | (x >> ((32u - n) & 31u));",
            "for (uint8_t i = 0; i < n; i++) { x = (x << 1) | (x >> 31); } return x;",
        ),
        wrong=(
            "return (x << n) | (x >> (32 - n));",
            "return n == 0 ? x : (x << n) | (x >> (31 - n));",
            "return n == 0 ? x : (x >> n) | (x << (32 - n));",
            "return n == 0 ? x : (x << n) ^ (x >> (33 - n));",
            "return (x << n) | ((uint32_t)((int32_t)x >> ((32u - n) & 31u)));",
            "return (x << (n & 15u)) | (x >> ((32u - n) & 31u));",
        ),
    ),
    "population count": Case(
        returns="uint8_t",
        parameters={"x": "uint64_t"},
        reference="uint8_t n = 0; while (x) { x &= x - 1; n++; } return n;",
        right=("uint8_t n = 0; for (int i = 0; i < 64; i++) { n = (uint8_t)(n + ((x >> i) & 1u)); } return n;",),
        wrong=(
            "uint8_t n = 0; for (int i = 0; i < 63; i++) { n = (uint8_t)(n + ((x >> i) & 1u)); } return n;",
            "uint8_t n = 0; for (int i = 1; i < 64; i++) { n = (uint8_t)(n + ((x >> i) & 1u)); } return n;",
            "uint32_t y = (uint32_t)x; uint8_t n = 0; while (y) { y &= y - 1; n++; } return n;",
            "uint8_t n = 0; while (x) { x >>= 1; n++; } return n;",
            "uint8_t n = 0; while (x > 1) { x &= x - 1; n++; } return n;",
        ),
    ),
    "q15 multiply": Case(
        returns="int16_t",
        parameters={"a": "int16_t", "b": "int16_t"},
        reference="int32_t p = ((int32_t)a * b + 16384) >> 15; return p > 32767 ? 32767 : (int16_t)p;",
        right=(
            (
                "if (a == INT16_MIN && b == INT16_MIN) { return INT16_MAX; } "
                "return (int16_t)(((int32_t)a * b + (1 << 14)) >> 15);"
            ),
        ),
        wrong=(
            "int32_t p = ((int32_t)a * b) >> 15; return p > 32767 ? 32767 : (int16_t)p;",
            "int32_t p = ((int32_t)a * b + 16383) >> 15; return p > 32767 ? 32767 : (int16_t)p;",
            "int32_t p = ((int32_t)a * b + 16384) >> 15; return (int16_t)p;",
            "int32_t p = ((int32_t)a * b + 16384) / 32768; return p > 32767 ? 32767 : (int16_t)p;",
            "int32_t p = ((int32_t)a * b + 16384) >> 15; return p > 32766 ? 32766 : (int16_t)p;",
            "uint32_t p = ((uint32_t)a * (uint32_t)b + 16384u) >> 15; return p > 32767u ? 32767 : (int16_t)p;",
        ),
    ),
    "battery state": Case(
        returns="uint8_t",
        parameters={"mv": "uint16_t", "charging": "bool"},
        reference="if (charging) { return mv >= 4180u ? 4 : 3; } if (mv < 3300u) { return 0; } return mv < 3600u ? 1 : 2;",
        right=("if (!charging) { return mv >= 3600u ? 2 : mv >= 3300u; } return mv > 4179u ? 4 : 3;",),
        wrong=(
            "if (charging) { return mv > 4180u ? 4 : 3; } if (mv < 3300u) { return 0; } return mv < 3600u ? 1 : 2;",
            "if (charging) { return mv >= 4180u ? 4 : 3; } if (mv <= 3300u) { return 0; } return mv < 3600u ? 1 : 2;",
            "if (charging) { return mv >= 4180u ? 4 : 3; } if (mv < 3300u) { return 0; } return mv <= 3600u ? 1 : 2;",
            "if (charging) { return mv >= 4180u ? 4 : 3; } if (mv < 3301u) { return 0; } return mv < 3600u ? 1 : 2;",
            "if (charging) { return mv >= 4180u ? 4 : 2; } if (mv < 3300u) { return 0; } return mv < 3600u ? 1 : 2;",
            "if (!charging) { return mv >= 4180u ? 4 : 3; } if (mv < 3300u) { return 0; } return mv < 3600u ? 1 : 2;",
        ),
    ),
    "crc step": Case(
        returns="uint8_t",
        parameters={"crc": "uint8_t", "byte": "uint8_t"},
        reference="crc ^= byte; for (int i = 0; i < 8; i++) "
        "{ crc = (uint8_t)(crc & 0x80 ? (crc << 1) ^ 0x07 : crc << 1); } return crc;",
        right=(
            (
                "unsigned c = crc ^ byte; for (int i = 8; i > 0; i--) { c <<= 1; if (c & 0x100u) { c ^= 0x107u; } } "
                "return (uint8_t)c;"
            ),
        ),
        wrong=(
            "crc ^= byte; for (int i = 0; i < 7; i++) { crc = (uint8_t)(crc & 0x80 ? (crc << 1) ^ 7 : crc << 1); } return crc;",
            "crc ^= byte; for (int i = 0; i < 8; i++) { crc = (uint8_t)(crc & 0x80 ? (crc << 1) ^ 49 : crc << 1); } return crc;",
            "crc ^= byte; for (int i = 0; i < 8; i++) { crc = (uint8_t)(crc & 1 ? (crc >> 1) ^ 0xE0 : crc >> 1); } return crc;",
            "for (int i = 0; i < 8; i++) { crc = (uint8_t)(crc & 0x80 ? (crc << 1) ^ 7 : crc << 1); } return (uint8_t)(crc ^ byte);",
            "crc = byte; for (int i = 0; i < 8; i++) { crc = (uint8_t)(crc & 0x80 ? (crc << 1) ^ 7 : crc << 1); } return crc;",
        ),
    ),
    "absolute difference": Case(
        returns="uint32_t",
        parameters={"a": "int32_t", "b": "int32_t"},
        reference="return a > b ? (uint32_t)a - (uint32_t)b : (uint32_t)b - (uint32_t)a;",
        right=("int64_t d = (int64_t)a - b; return (uint32_t)(d < 0 ? -d : d);",),
        wrong=(
            "int32_t d = a - b; return (uint32_t)(d < 0 ? -d : d);",
            "return (uint32_t)a - (uint32_t)b;",
            "int64_t d = (int64_t)a - b; return (uint32_t)(d < 0 ? d : -d);",
            "return a > b ? (uint32_t)a - (uint32_t)b : (uint32_t)b + (uint32_t)a;",
            "int64_t d = (int64_t)a - b; return d > 2147483647 ? 2147483647u : (uint32_t)(d < 0 ? -d : d);",
        ),
    ),
}

RIGHT = [(name, number) for name, case in CASES.items() for number in range(len(case.right) + 1)]
WRONG = [(name, number) for name, case in CASES.items() for number in range(len(case.wrong))]


def test_there_are_enough_mutants() -> None:
    assert len(WRONG) >= 40


async def codes(bench: Bench, settings: VerifierSettings, case: Case, answer: str, seed: str) -> list[str]:
    check = check_from(case.inputs(), seed=seed, bench=bench, policy=settings.c_policy())
    assessment = await check.assess(answer)
    assert assessment.passed == (not assessment.findings)
    return [found.code for found in assessment.findings]


@pytest.mark.parametrize(("name", "number"), RIGHT)
async def test_a_right_function_passes(
    bench: Bench, verifier_settings: VerifierSettings, name: str, number: int
) -> None:
    case = CASES[name]
    body = [case.reference, *case.right][number]
    assert await codes(bench, verifier_settings, case, case.function(body), "right") == []


@pytest.mark.parametrize(("name", "number"), WRONG)
async def test_a_known_wrong_function_is_rejected(
    bench: Bench, verifier_settings: VerifierSettings, name: str, number: int
) -> None:
    case = CASES[name]
    found = await codes(bench, verifier_settings, case, case.function(case.wrong[number]), f"wrong-{number}")
    assert set(found) <= {"wrong-result", "undefined-behaviour"}
    assert found
