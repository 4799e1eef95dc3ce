"""Exact rules on the fields of a JSON answer: the input `rules`, version 1.

`{"version": 1, "rules": [{"field": "/text", "rule": "max_words", "value": 40}, ...]}`. A field is a JSON pointer, or a plain name for
a field of the object itself; `*` stands for every item of a list. A field
that is absent breaks each of its rules: presence is never assumed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.verification import Finding

from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import finding, pointer
from tierproof_verifier.patterns import PatternLimits, PatternRefused, compiled

_UNDECIDED = re.compile(
    r"\b(?:tbd|tbc|tba|todo|fixme|xxx|to be (?:defined|determined|decided|confirmed|specified))\b|\?\?+", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    field: str = Field(min_length=1, max_length=120)


class Count(_Rule):
    """A bound on the number of words or characters."""

    rule: Literal["max_words", "min_words", "max_characters", "min_characters"]
    value: int = Field(ge=0)


class Word(_Rule):
    """A word that must or must not stand in the text, as a whole word, in any case."""

    rule: Literal["must_contain_word", "must_not_contain_word"]
    value: str = Field(min_length=1, max_length=80)


class Edge(_Rule):
    """How the text begins or ends, or what it is."""

    rule: Literal["starts_with", "ends_with", "equals"]
    value: str = Field(max_length=400)


class Pattern(_Rule):
    """A regular expression that the whole text must match."""

    rule: Literal["matches"]
    value: str = Field(max_length=400)


class Bare(_Rule):
    """Exactly one `shall` (one requirement per sentence: ISO/IEC/IEEE 29148, 5.2.4); nothing left undecided."""

    rule: Literal["exactly_one_shall", "no_tbd"]
    value: Literal[True] = True


FieldRule = Annotated[Count | Word | Edge | Pattern | Bare, Field(discriminator="rule")]


class FieldRules(BaseModel):
    """The document in the input `rules`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1]
    rules: tuple[FieldRule, ...] = Field(max_length=200)

    def faults(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield what in a JSON object breaks the rules."""
        for rule in self.rules:
            texts = list(_texts_at(value, _path(rule.field)))
            if not texts:
                yield finding("rule-no-field", pointer(_path(rule.field)), f"rule {rule.rule}: there is no such field")
            for where, text in texts:
                wrong = "is not a text" if not isinstance(text, str) else _fault(rule, text)
                if wrong:
                    yield finding(f"rule-{rule.rule.replace('_', '-')}", where, wrong)


def rules_from(text: str, limits: PatternLimits) -> FieldRules:
    """Return the rules in the input `rules`. Raises `InputRefused` for a rule that this release does not know."""
    mend = 'give {"version": 1, "rules": [{"field": ..., "rule": ..., "value": ...}]}'
    try:
        rules = FieldRules.model_validate_json(text)
        for rule in rules.rules:
            if isinstance(rule, Pattern):
                compiled(rule.value, limits)
    except ValidationError as error:
        raise InputRefused("rules", f"is not usable ({explain_validation(error)})", mend) from None
    except PatternRefused as error:
        raise InputRefused("rules", f"is not usable ({error})", mend) from None
    return rules


def _path(field: str) -> list[str]:
    if not field.startswith("/"):
        return [field]
    return [part.replace("~1", "/").replace("~0", "~") for part in field[1:].split("/")]


def _texts_at(value: Any, path: list[str], done: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if not path:
        yield pointer(done), value
        return
    first, *rest = path
    if first == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts_at(item, rest, (*done, index))
    elif isinstance(value, Mapping) and first in value:
        yield from _texts_at(value[first], rest, (*done, first))
    elif isinstance(value, list) and first.isascii() and first.isdigit() and int(first) < len(value):
        yield from _texts_at(value[int(first)], rest, (*done, int(first)))


def _fault(rule: Count | Word | Edge | Pattern | Bare, text: str) -> str:
    match rule:
        case Count():
            return _count_fault(rule, text)
        case Word():
            there = bool(re.search(rf"(?<!\w){re.escape(rule.value)}(?!\w)", text, re.IGNORECASE))
            wanted = rule.rule == "must_contain_word"
            return "" if there is wanted else f"must {'' if wanted else 'not '}contain the word `{rule.value}`"
        case Edge():
            return _edge_fault(rule, text)
        case Pattern():
            return "" if re.fullmatch(rule.value, text) else f"must match `{rule.value}`"
        case Bare():
            return _bare_fault(rule, text)


def _count_fault(rule: Count, text: str) -> str:
    least_or_most, unit = rule.rule.split("_")
    count = len(_WORD.findall(text)) if unit == "words" else len(text)
    fits = count <= rule.value if least_or_most == "max" else count >= rule.value
    return (
        ""
        if fits
        else f"has {count} {unit}; {'at most' if least_or_most == 'max' else 'at least'} {rule.value} are allowed"
    )


def _edge_fault(rule: Edge, text: str) -> str:
    match rule.rule:
        case "starts_with":
            return "" if text.startswith(rule.value) else f"must start with `{rule.value}`"
        case "ends_with":
            return "" if text.endswith(rule.value) else f"must end with `{rule.value}`"
        case "equals":
            return "" if text == rule.value else "is not the exact text asked for"


def _bare_fault(rule: Bare, text: str) -> str:
    if rule.rule == "no_tbd":
        return "leaves something undecided (TBD, TODO and the like)" if _UNDECIDED.search(text) else ""
    count = len(re.findall(r"\bshall\b", text, re.IGNORECASE))
    return "" if count == 1 else f"has the word `shall` {count} times; exactly once is allowed"
