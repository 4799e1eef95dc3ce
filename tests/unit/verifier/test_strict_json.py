"""JSON that means one thing only."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_verifier.strict_json import JsonLimits, NotStrict, parse, parse_object, without_fence

pytestmark = pytest.mark.requirement("P2")

LIMITS = JsonLimits(size=20_000, depth=12, digits=30)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_every_plain_object_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value), JsonLimits(size=10**6, depth=64, digits=400)) == value


@given(st.text(max_size=200))
def test_any_other_text_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with contextlib.suppress(NotStrict):
        assert parse(text, LIMITS) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a": 1, "a": 2}', "duplicate-key"),
        ('{"a": {"b": 1, "\\u0062": 2}}', "duplicate-key"),
        ('{"a": NaN}', "not-a-number"),
        ('{"a": -Infinity}', "not-a-number"),
        ('{"a": 1e999}', "number-too-large"),
        ('{"a": ' + "9" * 31 + "}", "number-too-long"),
        ('{"a": 0.' + "9" * 31 + "}", "number-too-long"),
        ("[" * 13 + "]" * 13, "too-deep"),
        ('{"a":' * 100_0 + "1" + "}" * 100_0, "too-deep"),
        ('{"a": "' + "x" * 20_000 + '"}', "too-large"),
        ('{"a": 1} and more', "text-around-json"),
        ('{"a": 1}{"a": 1}', "text-around-json"),
        ('Here you are: {"a": 1}', "not-json"),
        ("{'a': 1}", "not-json"),
        ('{"a": 1,}', "not-json"),
        ("", "not-json"),
        ('{"a": "line\nbreak"}', "not-json"),
        ("[1]", "not-an-object"),
        ('"text"', "not-an-object"),
    ],
)
def test_each_trap_has_its_code(text: str, code: str) -> None:
    with pytest.raises(NotStrict) as refused:
        parse_object(text, LIMITS)
    assert refused.value.code == code


def test_brackets_inside_texts_are_no_nesting() -> None:
    assert parse_object(json.dumps({"a": '[[[[[[[[[[[[[[["\\'}), LIMITS)


def test_a_fault_says_where() -> None:
    with pytest.raises(NotStrict) as refused:
        parse_object('{"a": 1,\n "b": oops}', LIMITS)
    assert refused.value.where == "2:7"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```json\n{}\n```", "{}"),
        ("\n```\n{}\n```\n", "{}"),
        ("{}", None),
        ("Look:\n```json\n{}\n```", None),
        ("```json\n{}\n```\nDone.", None),
        ("```json\n{}\n```\n```json\n{}\n```", None),
    ],
)
def test_only_a_fence_around_everything_is_taken_away(text: str, inside: str | None) -> None:
    assert without_fence(text) == ((text, False) if inside is None else (inside, True))
