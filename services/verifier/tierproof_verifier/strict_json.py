"""JSON without its traps: one object, no key twice, no NaN, no bottomless nesting, no endless numbers (RFC 8259, I-JSON RFC 7493)."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(?P<inside>.*?)\n?```\s*", re.DOTALL)
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLimits:
    """Bytes of the whole text, levels of nesting, digits of one number."""

    size: int
    depth: int
    digits: int


class NotStrict(ValueError):
    """A text that is not strict JSON; `code` and `where` (line:column) say why, without an excerpt."""

    def __init__(self, code: str, where: str, note: str) -> None:
        super().__init__(note)
        self.code = code
        self.where = where
        self.note = note


def without_fence(text: str) -> tuple[str, bool]:
    """Return the text inside a single code fence around all of it, and whether there was one."""
    fenced = _FENCE.fullmatch(text)
    return (fenced["inside"], True) if fenced and "```" not in fenced["inside"] else (text, False)


def parse(text: str, limits: JsonLimits) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a text that holds nothing else. Raises `NotStrict`."""
    if len(text.encode("utf-8", "surrogatepass")) > limits.size:
        raise NotStrict("too-large", "", f"the JSON text is larger than {limits.size} bytes")
    _refuse_depth(text, limits.depth)
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=lambda digits: _integer(digits, limits.digits),
            parse_float=lambda digits: _float(digits, limits.digits),
        )
    except json.JSONDecodeError as error:
        where = f"{error.lineno}:{error.colno}"
        if error.msg == "Extra data":
            raise NotStrict(
                "text-around-json", where, "there is text after the JSON value; give the JSON alone"
            ) from None
        raise NotStrict("not-json", where, "the text is not JSON from here on; give one JSON value alone") from None


def parse_object(text: str, limits: JsonLimits) -> dict[str, Any]:
    """Return the JSON object of a text that holds nothing else. Raises `NotStrict`."""
    value = parse(text, limits)
    if not isinstance(value, dict):
        raise NotStrict("not-an-object", "", "the JSON value must be an object")
    return value


def _refuse_depth(text: str, deepest: int) -> None:
    depth = 0
    for token in _STRUCTURE.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > deepest:
                raise NotStrict("too-deep", "", f"the JSON is nested deeper than {deepest} levels")
        elif token[0] in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise NotStrict("duplicate-key", "", "an object has the same key twice")
    return keys


def _refuse_constant(_name: str) -> NoReturn:
    raise NotStrict("not-a-number", "", "NaN and Infinity are not JSON")


def _integer(digits: str, most: int) -> int:
    if len(digits) > most:
        raise NotStrict("number-too-long", "", f"a number has more than {most} digits")
    return int(digits)


def _float(digits: str, most: int) -> float:
    if len(digits) > most:
        raise NotStrict("number-too-long", "", f"a number has more than {most} digits")
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrict("number-too-large", "", "a number is too large for a 64-bit float")
    return value
