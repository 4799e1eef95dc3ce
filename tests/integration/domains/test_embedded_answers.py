"""Firmware C: answers are right by gcc, by oracles in Python and by the product's verifier; rejected ones by none of them."""

import asyncio
import dataclasses
import itertools
import random

import pytest
from tierproof_domains.embedded_fw_c import FAMILIES, KIND, check, check_many, items
from tierproof_domains.embedded_fw_c.generating import made
from tierproof_domains.embedded_fw_c.judging import faults_of_cases
from tierproof_domains.item import SPLITS, Item
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.findings import Assessment
from tierproof_verifier.handlers import bench_of
from tierproof_verifier.kinds import check_for
from tierproof_verifier.settings import VerifierSettings

pytestmark = [pytest.mark.requirement("S5-domains"), pytest.mark.timeout(300)]

SETTINGS = VerifierSettings()
MOST_AT_ONCE = 2


@pytest.fixture(scope="module")
def verifier_bench() -> Bench:
    opened = asyncio.run(bench_of(SETTINGS))
    assert isinstance(opened, Bench), f"these tests need a real sandbox: {opened}"
    return opened


def one_of_each_family() -> list[Item]:
    """Return sealed items, the first of each family, whatever the order in which they come."""
    first: dict[str, Item] = {}
    for item in items("sealed", seed=3, most=4 * len(FAMILIES)):
        first.setdefault(item.family, item)
    return list(first.values())


async def judged(pairs: list[tuple[Item, str]], bench: Bench) -> list[Assessment]:
    free = asyncio.Semaphore(MOST_AT_ONCE)

    async def one(item: Item, answer: str) -> Assessment:
        async with free:
            return await check_for(KIND, item.inputs, seed=item.id, settings=SETTINGS, bench=bench)(answer)

    return await asyncio.gather(*(one(*pair) for pair in pairs))


def test_what_gcc_computes_is_what_the_oracles_say() -> None:
    cases = itertools.chain.from_iterable(made(split, seed=3, most=len(FAMILIES)) for split in SPLITS)
    assert list(faults_of_cases(cases)) == []


def test_answers_agree_with_their_references_and_rejected_ones_do_not() -> None:
    every = itertools.chain.from_iterable(items(split, seed=4, most=len(FAMILIES)) for split in SPLITS)
    found = list(check_many(every))
    assert len(found) == 3 * len(FAMILIES)
    assert [(item.answer, wrong) for item, wrong in found if wrong] == []


async def test_the_verifier_accepts_an_answer_of_each_family(verifier_bench: Bench) -> None:
    them = one_of_each_family()
    assert len(them) == len(FAMILIES)
    assessments = await judged([(item, item.answer) for item in them], verifier_bench)
    assert [
        (item.answer, assessment.findings)
        for item, assessment in zip(them, assessments, strict=True)
        if not assessment.passed
    ] == []


async def test_the_verifier_refuses_rejected_answers_for_what_they_return(verifier_bench: Bench) -> None:
    pairs = [(item, random.Random(item.id).choice(item.rejected)) for item in one_of_each_family()[::2]]
    for (item, wrong), assessment in zip(pairs, await judged(pairs, verifier_bench), strict=True):
        assert not assessment.passed, (item.prompt, wrong)
        assert {found.code for found in assessment.findings} <= {"wrong-result", "undefined-behaviour"}, wrong


async def test_findings_of_form_are_worded_as_the_verifier_words_them(verifier_bench: Bench) -> None:
    repairs = [item for item in items("train", most=3000) if item.repair_of]
    told = {item.prompt.rsplit("\n- ", 1)[1].split(": ", 1)[1] for item in repairs}
    item = next(item for item in items("sealed", most=50) if item.answer.count("\n") == 2)
    name = item.answer.split("(")[0].split()[1]
    declared = item.answer.split(" {")[0]
    faulty = [
        item.answer.replace(f" {name}(", " other("),
        f"Here it is:\n{item.answer}",
        item.answer[:-1],
        f"{item.answer}\n{item.answer.replace(name, 'other')}",
    ]
    for assessment in await judged([(item, answer) for answer in faulty], verifier_bench):
        (found,) = assessment.findings
        assert found.note in told or found.note == f"the function must be `{declared}`"
    kept = next(note for note in told if note.startswith("the function must be `"))
    assert kept.endswith(")`")


def test_one_bad_answer_does_not_spoil_the_others() -> None:
    """A trap, an endless loop and a complaint of the compiler are each told of their own item."""
    first, second, third, fourth = itertools.islice(items("sealed", seed=5, most=40), 4)
    endless = first.answer.replace("return", "while (1) { }\n    return")
    trapped = second.answer.replace("return", "int zero = 0;\n    if (1 / zero) { return 1; }\n    return")
    warned = third.answer.replace("return", "int unused;\n    return")
    spoilt = [
        dataclasses.replace(item, id="", answer=answer, rejected=())
        for item, answer in ((first, endless), (second, trapped), (third, warned), (fourth, fourth.answer))
    ]
    faults = [wrong for _, wrong in check_many(spoilt)]
    assert faults[0] == ["the function did not return for every input"]
    assert faults[1]
    assert "unused variable" in faults[2][0]
    assert faults[3] == []


@pytest.mark.parametrize("replaced", [("return", "return abs("), ("{", "{ #pragma x\n"), ("(", "2(")])
def test_an_answer_that_is_not_plain_never_runs(replaced: tuple[str, str]) -> None:
    item = next(items("sealed", most=1))
    assert "one plain" in check(item, item.answer.replace(*replaced, 1))[0]
    assert check(item, item.answer) == []


def test_a_right_answer_that_is_called_wrong_is_found() -> None:
    item = next(items("sealed", most=1))
    again = dataclasses.replace(item, id="", rejected=(item.inputs["reference"],))
    assert [wrong[0].split(":")[0] for _, wrong in check_many([again])] == ["a rejected answer is right"]
