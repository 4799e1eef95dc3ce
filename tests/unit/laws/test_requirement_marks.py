"""Each requirement id that a test names exists: a misspelt one would prove nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[2]
KNOWN = frozenset((TESTS / "requirements.txt").read_text().split())


def named_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "requirement":
            for argument in node.args:
                yield str(argument.value) if isinstance(argument, ast.Constant) else ast.unparse(argument)


def test_each_named_requirement_is_known() -> None:
    named = {
        (str(path.relative_to(TESTS)), name) for path in TESTS.rglob("*.py") for name in named_in(path.read_text())
    }
    assert named, "no test names a requirement"
    assert sorted(pair for pair in named if pair[1] not in KNOWN) == []


def test_a_misspelt_requirement_is_found() -> None:
    assert set(named_in('@pytest.mark.requirement("S9-gaet", "P1")\ndef test(): ...')) - KNOWN == {"S9-gaet"}
