"""The inputs on which answers are compared: corners crossed, neighbours of the task's own numbers, then random values."""

import itertools
import random
from collections.abc import Iterator, Sequence

from tierproof_domains.embedded_fw_c.skill import Case, Parameter

Vector = tuple[int, ...]
_MOST_CORNERS = 120
_MOST_RANDOM = 80
_PARTNERS = 2
_POWERS = (2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)


def vectors_of(case: Case) -> tuple[Vector, ...]:
    """Return about 200 argument vectors for a case."""
    numbers = [int(word) for word in case.words.values() if word.lstrip("-").isdecimal()]
    return vectors_for(case.parameters, numbers, repr((case.parameters, case.right.body)))


def vectors_for(
    parameters: Sequence[Parameter], numbers: Sequence[int], seed: str, *, thorough: bool = False
) -> tuple[Vector, ...]:
    """Return about 200 argument vectors; `numbers` are those at which the function may change what it does.

    `thorough` adds every corner of every parameter, with corners of the others.
    """
    corners = [_corners(parameter, numbers) for parameter in parameters]
    share = max(2, int(_MOST_CORNERS ** (1 / len(corners)))) if len(corners) > 1 else _MOST_CORNERS
    crossed = itertools.product(*(values[:share] for values in corners))
    chance = random.Random(seed)  # noqa: S311 - reproducible inputs, not secrets
    chosen = dict.fromkeys([*crossed, *_random(parameters, corners, chance)])
    return tuple(chosen | dict.fromkeys(_each_corner(corners, chance))) if thorough else tuple(chosen)


def _corners(parameter: Parameter, numbers: Sequence[int]) -> list[int]:
    low, high = parameter.low, parameter.high
    telling = [low, high, 0, 1, -1, low + 1, high - 1]
    near = [sign * number + step for number in numbers for sign in (1, -1) for step in (0, -1, 1)]
    powers = [sign * power + step for power in _POWERS for sign in (1, -1) for step in (0, -1)]
    candidates = [*telling, *near, (low + high) // 2, *powers]
    return [value for value in dict.fromkeys(candidates) if low <= value <= high]


def _random(parameters: Sequence[Parameter], corners: list[list[int]], chance: random.Random) -> Iterator[Vector]:
    for _ in range(_MOST_RANDOM):
        yield tuple(
            chance.choice(values) if chance.random() < 0.4 else chance.randint(each.low, each.high)  # noqa: PLR2004
            for each, values in zip(parameters, corners, strict=True)
        )


def _each_corner(corners: list[list[int]], chance: random.Random) -> Iterator[Vector]:
    """Yield each corner of each parameter with the ends of the others, and with others of their corners."""
    for place, values in enumerate(corners):
        others = corners[:place] + corners[place + 1 :]
        ends = list(itertools.product(*(other[:2] for other in others)))
        for value in values:
            drawn = [tuple(chance.choice(other) for other in others) for _ in range(_PARTNERS)]
            yield from ((*beside[:place], value, *beside[place:]) for beside in [*ends, *drawn])
