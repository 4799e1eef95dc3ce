"""Regular expressions from inputs, refused where matching them could take for ever.

Python's matcher backtracks. Refused: back references, look-around, conditional groups, a repeat inside an unbounded repeat (star height
above one, https://doi.org/10.1007/978-3-642-41578-4_2 on exponential backtracking), and more unbounded repeats than allowed.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from re import _constants as opcodes  # type: ignore[attr-defined] # the parser's own names
from re import _parser  # type: ignore[attr-defined] # the tree is not published otherwise
from typing import Any

_LONG = 64  # repeats up to this are bounded in effect
_REPEATS = frozenset({opcodes.MAX_REPEAT, opcodes.MIN_REPEAT})
_REFUSED = frozenset({opcodes.GROUPREF, opcodes.GROUPREF_EXISTS, opcodes.ASSERT, opcodes.ASSERT_NOT})


class PatternRefused(ValueError):
    """A pattern that is not a regular expression, or could take for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternLimits:
    """Characters of a pattern, and unbounded repeats in it."""

    length: int
    unbounded_repeats: int


def compiled(pattern: str, limits: PatternLimits) -> re.Pattern[str]:
    """Return the compiled pattern. Raises `PatternRefused`."""
    if len(pattern) > limits.length:
        raise PatternRefused(f"a pattern is longer than {limits.length} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = _parser.parse(pattern)
            unbounded = sum(_unbounded_repeats(tree, inside=False))
            expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise PatternRefused(f"a pattern is not a regular expression ({type(error).__name__})") from None
    if unbounded > limits.unbounded_repeats:
        raise PatternRefused(f"a pattern has more than {limits.unbounded_repeats} unbounded repeats")
    return expression


def _unbounded_repeats(tree: Any, *, inside: bool) -> Iterator[int]:  # noqa: ANN401 - the parser's tree is untyped
    for opcode, argument in tree:
        if opcode in _REFUSED:
            raise PatternRefused("a pattern has a back reference, look-around or condition")
        within = inside
        if opcode in _REPEATS or opcode is opcodes.POSSESSIVE_REPEAT:
            within = argument[1] is opcodes.MAXREPEAT or argument[1] > _LONG
            if inside:
                raise PatternRefused("a pattern has a repeat inside an unbounded repeat")
            if within:
                yield 1
        for inner in _subtrees(argument):
            yield from _unbounded_repeats(inner, inside=within or inside)


def _subtrees(argument: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _subtrees(part)
