"""Finds what is wrong with wrong forms, on inputs like the verifier's, without a compiler."""

import itertools
import random
from collections.abc import Iterator

from tierproof_domains.embedded_fw_c.skill import Case, Form, Oracle, Parameter, converted, defined, prototype
from tierproof_domains.repairing import Fault

Vector = tuple[int, ...]
_MOST_CORNERS = 120
_OF_FORM = 0.12
_MOST_RANDOM = 80
_POWERS = (2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)


def vectors_of(case: Case) -> tuple[Vector, ...]:
    """Return about 200 argument vectors: corners crossed, neighbours of the task's own numbers, then random values."""
    numbers = [int(word) for word in case.words.values() if word.lstrip("-").isdecimal()]
    corners = [_corners(parameter, numbers) for parameter in case.parameters]
    share = max(2, int(_MOST_CORNERS ** (1 / len(corners)))) if len(corners) > 1 else _MOST_CORNERS
    crossed = itertools.product(*(values[:share] for values in corners))
    chance = random.Random(repr((case.parameters, case.right.body)))  # noqa: S311 - reproducible inputs, not secrets
    return tuple(dict.fromkeys([*crossed, *_random(case.parameters, corners, chance)]))


def wrong_answers(name: str, case: Case) -> tuple[str, ...]:
    """Return the wrong forms as answers, without those that are right for every vector."""
    return tuple(defined(name, case, form.body) for form in case.wrong if _counterexample(case, form) is not None)


def fault_of(name: str, case: Case, chance: random.Random) -> Fault | None:
    """Return what the verifier says of one likely wrong answer: mostly a wrong result, now and then of a wrong form."""
    if chance.random() < _OF_FORM:
        return chance.choice(_faults_of_form(name, case))
    found = [each for form in case.wrong if (each := _counterexample(case, form)) is not None]
    if not found:
        return None
    vector, got = chance.choice(found)
    where = ", ".join(f"{each.name}={value}" for each, value in zip(case.parameters, vector, strict=True))
    return Fault(where, f"the function returned {got}, which is wrong")


def _faults_of_form(name: str, case: Case) -> tuple[Fault, ...]:
    """Return what the verifier says of another prototype, of words before the function, of a function cut off and of a second one."""
    at_name = len(case.returns) + 2
    unread = "this is not one plain C function: it cannot be read from here on; give the function alone"
    beside = "the answer must be exactly one function definition, with no other declaration beside it"
    return (
        Fault(f"1:{at_name}", f"the function must be `{prototype(name, case)}`"),
        Fault("1:1", unread),
        Fault("", unread),
        Fault(f"4:{at_name}", beside),
    )


def returned(case: Case, oracle: Oracle, vector: Vector) -> int:
    """Return what C returns for arguments."""
    return converted(int(oracle(*vector)), case.returns)


def _counterexample(case: Case, form: Form) -> tuple[Vector, int] | None:
    for vector in vectors_of(case):
        got = returned(case, form.oracle, vector)
        if got != returned(case, case.right.oracle, vector):
            return vector, got
    return None


def _corners(parameter: Parameter, numbers: list[int]) -> list[int]:
    low, high = parameter.low, parameter.high
    telling = [low, high, 0, 1, -1, low + 1, high - 1]
    near = [sign * number + step for number in numbers for sign in (1, -1) for step in (0, -1, 1)]
    powers = [sign * power + step for power in _POWERS for sign in (1, -1) for step in (0, -1)]
    candidates = [*telling, *near, (low + high) // 2, *powers]
    return [value for value in dict.fromkeys(candidates) if low <= value <= high]


def _random(parameters: tuple[Parameter, ...], corners: list[list[int]], chance: random.Random) -> Iterator[Vector]:
    for _ in range(_MOST_RANDOM):
        yield tuple(
            chance.choice(values) if chance.random() < 0.4 else chance.randint(each.low, each.high)  # noqa: PLR2004
            for each, values in zip(parameters, corners, strict=True)
        )
