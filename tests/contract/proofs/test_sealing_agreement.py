"""The offline verifier seals texts exactly as the published language does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts.text import sealed
from tierproof_proofs.release import seal

TEXTS = st.fixed_dictionaries(
    {"text": st.text(), "salt": st.binary(min_size=15, max_size=16).map(bytes.hex)},
    optional={"lang": st.text(), "more": st.lists(st.text(), max_size=2)},
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@pytest.mark.requirement("LED-proof")
@given(VALUES)
def test_seal_is_sealed(value: Any) -> None:
    assert seal(value) == sealed(value)
