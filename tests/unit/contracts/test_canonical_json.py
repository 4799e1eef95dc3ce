"""One value, one sequence of bytes: compared with an independent implementation of RFC 8785."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts.canonical import LARGEST_INTEGER, canonical_json, digest_of
from tierproof_contracts.envelope import data_digest
from tierproof_contracts.errors import NotCanonical
from tierproof_contracts.text import commitment_to, sealed, texts_in

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)
CARRIED = st.fixed_dictionaries(
    {"text": TEXTS.map(lambda text: f"secret {text}"), "salt": st.text("0123456789abcdef", min_size=32, max_size=32)},
    optional={"language": st.just("en")},
)
# What stands around the texts is in capitals, so that a text or a salt found in the sealed form can only be its own.
AROUND = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ABCÄÖ\n\u2028")
MESSAGES = st.recursive(
    AROUND | CARRIED, lambda inner: st.lists(inner) | st.dictionaries(st.text("XYZ"), inner), max_leaves=12
)


@pytest.mark.requirement("LED-proof")
@given(VALUES)
def test_the_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_is_read_back_has_the_same_bytes(value: Any) -> None:
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, {"b": 0.5}]}, "a.1.b: float"),
        (1.0, "value: float"),
        ([float("nan")], "0: float"),
        ({"n": 2**53}, "n: integer"),
        ({"n": -(2**53)}, "n: integer"),
        ({"a": {"größe": 1}}, "a: keys"),
        ({"a": {1: 1}}, "a: keys"),
        ({"a": b"bytes"}, "a: bytes"),
        ({"a": {1, 2}}, "a: set"),
    ],
)
def test_what_has_no_single_form_is_refused_by_its_place(value: Any, where: str) -> None:
    with pytest.raises(NotCanonical, match=f"^{where}"):
        canonical_json(value)


@pytest.mark.requirement("LED-append")
@given(MESSAGES)
def test_a_sealed_value_holds_no_text_and_no_salt(value: Any) -> None:
    seal = canonical_json(sealed(value)).decode()
    for commitment, text in texts_in(value).items():
        assert json.dumps(text.text, ensure_ascii=False)[1:-1] not in seal
        assert text.salt not in seal
        assert commitment == commitment_to(text.text, text.salt)
        assert commitment in seal


@pytest.mark.requirement("LED-append")
@given(MESSAGES)
def test_sealing_changes_no_digest_and_happens_once(value: Any) -> None:
    assert sealed(sealed(value)) == sealed(value)
    assert data_digest({"type": "t", "data": sealed(value)}) == data_digest({"type": "t", "data": value})
    assert texts_in(sealed(value)) == {}


def test_inputs_that_are_named_text_and_salt_are_sealed_each() -> None:
    carried = {"text": "secret", "salt": "0" * 32}
    assert len(texts_in({"text": carried, "salt": {**carried, "text": "other"}})) == 2
    assert "secret" not in json.dumps(sealed({"text": carried, "salt": carried}))


@pytest.mark.parametrize(
    "odd", [{"text": 1, "salt": "0" * 32}, {"text": "x", "salt": "zz"}, {"text": "x", "salt": None}]
)
def test_what_only_resembles_a_text_crashes_nothing(odd: dict[str, Any]) -> None:
    assert digest_of(sealed({"later": odd}))
