"""Laws of the source that no linter knows. Each test names the file that breaks it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("contracts", "infra", "services")
MOST_LINES_OF_A_MODULE = 300
MOST_LINES_OF_A_FUNCTION = 40
STANDS_ALONE = (
    "contracts/verify/tierproof_verify.py"  # strangers get one file: its length has a law of its own, tests/unit/verify
)
FORBIDDEN_NAMES = re.compile(r"(^|_)(helpers?|utils?|managers?|misc|common|data|info)$")
A_SUBJECT = re.compile(r"""["']tierproof\.[a-z]+\.[a-z]+\.v\d""")
CHANGES_A_STREAM = re.compile(
    r"\b(add_stream|update_stream|delete_stream|purge_stream)\b|STREAM\.(CREATE|UPDATE|DELETE|PURGE)"
)


def modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def breaking(pattern: re.Pattern[str], allowed: tuple[str, ...]) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in modules()
        if name_of(path) not in allowed
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count from `def` to the end, without the docstring and without functions inside, which are counted by themselves."""
    inner = sum(lines_of(node) for body in function.body for node in functions(body))
    first = function.body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring - inner


def test_there_is_source_to_judge() -> None:
    assert len(modules()) > 30


def test_modules_fit_into_a_head() -> None:
    long = {
        name_of(path): count
        for path in modules()
        if (count := len(path.read_text().splitlines())) > MOST_LINES_OF_A_MODULE and name_of(path) != STANDS_ALONE
    }
    assert long == {}, "a room is missing a wall"


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{name_of(path)}:{function.lineno} {function.name}: {count} lines"
        for path in modules()
        for function in functions(ast.parse(path.read_text()))
        if (count := lines_of(function)) > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_modules_are_named_for_what_they_are() -> None:
    assert [name_of(path) for path in modules() if FORBIDDEN_NAMES.search(path.stem)] == []


@pytest.mark.requirement("BUS-contracts")
def test_subjects_are_written_in_one_place() -> None:
    assert breaking(A_SUBJECT, allowed=("contracts/events/tierproof_contracts/subjects.py",)) == []


@pytest.mark.requirement("BUS-delivery")
def test_only_the_provisioner_changes_streams() -> None:
    assert breaking(CHANGES_A_STREAM, allowed=("infra/bus/tierproof_bus/provision.py",)) == []


@pytest.mark.requirement("BUS-delivery")
def test_subscribing_declares_no_stream() -> None:
    assert breaking(re.compile(r"\bJStream\((?!.*declare=False)"), allowed=()) == []


def test_everything_is_caught_in_two_places_only() -> None:
    caught = breaking(re.compile(r"except (Base)?Exception\b"), allowed=("infra/bus/tierproof_bus/consume.py",))
    assert [line for line in caught if "/__main__.py:" not in line and "raise" not in line] == []


def test_ignored_lint_names_its_rule() -> None:
    assert breaking(re.compile(r"#\s*noqa(?!:\s*[A-Z]+\d)|#\s*type:\s*ignore(?!\[)"), allowed=()) == []


def test_each_decision_is_one_short_pure_file() -> None:
    deciding = [path for path in modules() if path.name == "decide.py"]
    long = {name_of(path): count for path in deciding if (count := len(path.read_text().splitlines())) >= 150}
    assert deciding
    assert {name: count for name, count in long.items() if "router" in name} == {}
