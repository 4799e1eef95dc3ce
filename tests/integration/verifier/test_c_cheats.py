"""Answers that try to be believed without being right, and what a finding may tell."""

import json

import pytest
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.checks.c_signature import signature_from
from tierproof_verifier.checks.embedded_c import CCheck, check_from
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.settings import VerifierSettings

pytestmark = pytest.mark.requirement("P2")

SIGNATURE = json.dumps({"name": "scale", "returns": "uint16_t", "parameters": [{"name": "x", "type": "uint16_t"}]})
SECRET_NAME = "hidden_gain"
REFERENCE = (
    f"uint16_t scale(uint16_t x) {{ const uint16_t {SECRET_NAME} = 4711u; return (uint16_t)(x ^ {SECRET_NAME}); }}"
)
RIGHT = "uint16_t scale(uint16_t x) { return (uint16_t)(x ^ 4711u); }"


def check(bench: Bench, settings: VerifierSettings, **inputs: str) -> CCheck:
    given = {"signature": SIGNATURE, "reference": REFERENCE, **inputs}
    return check_from(given, seed="cheats", bench=bench, policy=settings.c_policy())


async def code_of(bench: Bench, settings: VerifierSettings, answer: str) -> str:
    assessment = await check(bench, settings).assess(answer)
    assert not assessment.passed
    return assessment.findings[0].code


@pytest.mark.parametrize(
    "cheat",
    [
        "void exit(int); uint16_t f(uint16_t x); uint16_t tierproof_subject(uint16_t x) { exit(0); return x; }",
        "uint16_t tierproof_subject(uint16_t x) { __builtin_trap(); return x; }",
        "void _exit(int); uint16_t tierproof_subject(uint16_t x) { _exit(0); return x; }",
        (
            "long write(int, const void *, unsigned long); void _exit(int);"
            "uint16_t tierproof_subject(uint16_t x) { char all[40] = {0}; write(1, all, 40); _exit(0); return x; }"
        ),
        (
            '__attribute__((constructor)) static void early(void) { __asm__("mov $60, %eax; xor %edi, %edi; syscall"); }'
            "uint16_t tierproof_subject(uint16_t x) { return x; }"
        ),
    ],
    ids=["exit", "trap", "_exit", "fake results", "constructor"],
)
async def test_code_that_gets_past_the_reader_still_cannot_fake_completion(bench: Bench, cheat: str) -> None:
    """The second wall: the harness' token is not in the program, so a program that ends early never looks complete."""
    signature = signature_from(SIGNATURE)
    careless = Bench(
        sandbox=bench.sandbox,
        compile_limits=bench.compile_limits,
        run_limits=bench.run_limits,
        flags=("-std=gnu11", "-w"),
    )
    program = await careless.compiled(cheat, signature, 3)
    assert isinstance(program, bytes), program
    results = await careless.results(program, signature, [(1,), (2,), (3,)])
    assert not results.complete


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (RIGHT.replace("return", "for (;;) { } return"), "endless"),
        (RIGHT.replace("return", "uint16_t table[2] = {0, 0}; x = table[x + 2]; return"), "undefined-behaviour"),
        (RIGHT.replace("4711u", "4712u"), "wrong-result"),
        (RIGHT.replace("return", "uint16_t y; return"), "does-not-compile"),
        (RIGHT.replace("return", "x = x / (x - x); return"), "undefined-behaviour"),
        (RIGHT.replace("(uint16_t)(x", "(uint16_t)(y"), "does-not-compile"),
        (RIGHT.replace("return", "uint8_t big[1 << 30] = {1}; x = big[x]; return"), "crashed"),
        ("Sure! Here it is:\n" + RIGHT, "does-not-parse"),
        ("", "not-one-function"),
    ],
)
async def test_each_finding_code(bench: Bench, verifier_settings: VerifierSettings, answer: str, code: str) -> None:
    assert await code_of(bench, verifier_settings, answer) == code


async def test_a_fence_and_comments_are_tolerated(bench: Bench, verifier_settings: VerifierSettings) -> None:
    answer = f"```c\n#include <stdint.h>\n// gain\n{RIGHT} /* done */\n```\n"
    assessment = await check(bench, verifier_settings).assess(answer)
    assert assessment.passed
    assert [report.check for report in assessment.reports] == [
        "fence-removed", "plain-function", "compiles", "agrees-with-reference",
    ]  # fmt: skip


async def test_positions_are_those_of_the_answer(bench: Bench, verifier_settings: VerifierSettings) -> None:
    assessment = await check(bench, verifier_settings).assess("\n```c\n" + RIGHT.replace("{", "{\n  x = y;") + "\n```")
    assert assessment.findings[0].where == "4:7"


async def test_findings_tell_one_fact_and_neither_the_reference_nor_the_answer(
    bench: Bench, verifier_settings: VerifierSettings
) -> None:
    for answer in (
        RIGHT.replace("4711u", "4712u"),
        RIGHT.replace("4711u", "patient_name"),
        RIGHT.replace("return", "uint16_t patient_name; return"),
    ):
        (found,) = (await check(bench, verifier_settings).assess(answer)).findings
        told = f"{found.where} {found.note}"
        for hidden in (SECRET_NAME, "patient_name", "4711", "expected"):
            assert hidden not in told


async def test_the_expected_value_is_told_only_when_the_settings_say_so(
    bench: Bench, verifier_settings: VerifierSettings
) -> None:
    telling = verifier_settings.model_copy(update={"show_expected": True})
    assessment = await check(bench, telling).assess(RIGHT.replace("4711u", "4712u"))
    assert "expected 4711" in assessment.findings[0].note


async def test_a_reference_that_does_not_compile_is_no_verdict(
    bench: Bench, verifier_settings: VerifierSettings
) -> None:
    with pytest.raises(InputRefused, match="`reference` does not compile"):
        await check(bench, verifier_settings, reference="uint16_t scale(uint16_t x) { return y; }").assess(RIGHT)


async def test_a_reference_that_is_undefined_for_an_input_is_no_verdict(
    bench: Bench, verifier_settings: VerifierSettings
) -> None:
    partial = "uint16_t scale(uint16_t x) { return (uint16_t)(1000 / x); }"
    with pytest.raises(InputRefused, match=r"undefined-behaviour at x=0.*bound its parameters"):
        await check(bench, verifier_settings, reference=partial).assess(RIGHT)


async def test_the_tasks_own_tests_are_tried_first(bench: Bench, verifier_settings: VerifierSettings) -> None:
    assessment = await check(bench, verifier_settings, tests="[[777]]").assess(RIGHT.replace("4711u", "4712u"))
    assert assessment.findings[0].where == "x=777"


async def test_the_same_request_is_judged_the_same_way_twice(bench: Bench, verifier_settings: VerifierSettings) -> None:
    wrong = RIGHT.replace("return", "if (x > 40000u) { return 1; } return")
    assert await check(bench, verifier_settings).assess(wrong) == await check(bench, verifier_settings).assess(wrong)
