"""The inputs on which a C answer is compared with its reference.

Where there are few enough they are all tried. Otherwise: the task's own tests, the corners of every type and range, powers of two and
their neighbours, the neighbours of every constant in the reference and in the answer (an off-by-one lives there), equal and
neighbouring arguments, then random values of random bit length. Seeded, so that the same request is judged the same way for ever.
"""

import itertools
import random
from collections.abc import Iterable, Iterator

from tierproof_verifier.checks.c_signature import Parameter, Signature

Vector = tuple[int, ...]


def vectors_for(
    signature: Signature, *, seed: str, most: int, tests: Iterable[Vector] = (), constants: Iterable[int] = ()
) -> tuple[Vector, ...]:
    """Return at most `most` different vectors besides `tests`, which come first."""
    parameters = signature.parameters
    given = list(dict.fromkeys(tests))
    if _count(parameters) <= most:
        return tuple(dict.fromkeys([*given, *_every(parameters)]))
    chance = random.Random(f"tierproof-vectors|{seed}")  # noqa: S311 - reproducible inputs, not secrets
    corners = [_corners(parameter, constants) for parameter in parameters]
    chosen = dict.fromkeys(itertools.islice(_crossed(corners, chance, most // 2), most // 2))
    attempts = itertools.islice(_random(parameters, corners, chance), 4 * most)
    for vector in attempts:
        if len(chosen) >= most:
            break
        chosen.setdefault(vector)
    if len(chosen) < most and _count(parameters) <= 4 * most:  # few are left to be drawn by chance
        left = [vector for vector in _every(parameters) if vector not in chosen]
        chosen |= dict.fromkeys(chance.sample(left, min(len(left), most - len(chosen))))
    return tuple(dict.fromkeys([*given, *chosen]))


def _every(parameters: tuple[Parameter, ...]) -> Iterator[Vector]:
    return itertools.product(*(range(each.lowest, each.highest + 1) for each in parameters))


def _count(parameters: tuple[Parameter, ...]) -> int:
    count = 1
    for parameter in parameters:
        count *= parameter.size
    return count


def _corners(parameter: Parameter, constants: Iterable[int]) -> list[int]:
    """Return the values of one parameter at which functions tend to change, the most telling first."""
    low, high = parameter.lowest, parameter.highest
    middle = (low + high) // 2
    telling = [low, high, 0, 1, -1, low + 1, high - 1]
    near = [constant + step for constant in sorted(constants) for step in (0, -1, 1)]
    negative = [-value for value in near]
    powers = [
        sign * (1 << bit) + step for bit in range(high.bit_length() + 1) for sign in (1, -1) for step in (0, -1, 1)
    ]
    patterns = [0x5555555555555555 & high, 0xAAAAAAAAAAAAAAAA & high, high & ~0xFF, high & 0xFF]
    candidates = [*telling, *near, middle, middle + 1, *negative, *patterns, *powers]
    return [value for value in dict.fromkeys(candidates) if low <= value <= high]


def _crossed(corners: list[list[int]], chance: random.Random, most: int) -> Iterator[Vector]:
    """Yield all combinations of corners where they fit, otherwise each corner at least once, then random combinations."""
    count = 1
    for values in corners:
        count *= len(values)
    if count <= most:
        yield from itertools.product(*corners)
        return
    if len(corners) > 1:
        yield from itertools.product(*(values[: max(2, int((most / 4) ** (1 / len(corners))))] for values in corners))
        for place, values in enumerate(corners):
            for value in values:
                yield tuple(value if at == place else chance.choice(other) for at, other in enumerate(corners))
    else:
        yield from ((value,) for value in corners[0])
        return
    while True:
        yield tuple(chance.choice(values) for values in corners)


def _random(parameters: tuple[Parameter, ...], corners: list[list[int]], chance: random.Random) -> Iterator[Vector]:
    while True:
        vector = [_any_value(parameter, corner, chance) for parameter, corner in zip(parameters, corners, strict=True)]
        if len(vector) > 1 and chance.random() < 0.2:  # noqa: PLR2004 - a fifth of the vectors has related arguments
            source, target = chance.sample(range(len(vector)), 2)
            related = vector[source] + chance.choice((0, 0, -1, 1))
            if parameters[target].lowest <= related <= parameters[target].highest:
                vector[target] = related
        yield tuple(vector)


def _any_value(parameter: Parameter, corner: list[int], chance: random.Random) -> int:
    style = chance.randrange(4)
    if style == 0:
        return chance.choice(corner)
    if style == 1:
        return chance.randint(parameter.lowest, parameter.highest)
    bits = chance.randint(1, max(1, (parameter.highest - parameter.lowest).bit_length()))
    offset = chance.getrandbits(bits)
    base = 0 if parameter.lowest <= 0 <= parameter.highest else parameter.lowest
    value = base + (offset if chance.random() < 0.5 or parameter.lowest >= 0 else -offset)  # noqa: PLR2004 - both signs
    return (
        value if parameter.lowest <= value <= parameter.highest else chance.randint(parameter.lowest, parameter.highest)
    )
