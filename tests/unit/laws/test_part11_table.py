"""The clauses of 21 CFR Part 11 that the ledger answers for: each is proved, and the README says by what."""

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("part11", Path(__file__).parents[2] / "part11.py")
assert _SPEC is not None
assert _SPEC.loader is not None
part11 = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(part11)


@pytest.mark.requirement("S-VAL")
@pytest.mark.requirement("P4")
def test_every_clause_is_proved_by_a_test() -> None:
    assert [clause for clause, tests in part11.marked().items() if not tests] == []


def test_the_readme_holds_the_table_of_the_marks() -> None:
    text = part11.README.read_text()
    assert part11.BEGIN in text
    assert part11.written(text) == text, "run `make part11`"
