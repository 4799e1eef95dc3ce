"""The table that maps clauses of 21 CFR Part 11 to the tests that prove them, from the marks on those tests.

`python tests/part11.py` writes it into the README of the evidence ledger; a law compares.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
README = TESTS.parent / "services" / "evidence_ledger" / "README.md"
BEGIN, END = "<!-- 21 CFR Part 11: written by `make part11` -->", "<!-- end -->"
CLAUSES = {
    "11.10(a)": "validated; altered records are discerned",
    "11.10(b)": "accurate and complete copies, for people and machines",
    "11.10(c)": "records are protected, and found again throughout their retention",
    "11.10(d)": "access is limited to who is authorised",
    "11.10(e)": "secure, computer-generated, time-stamped trail; changes do not obscure what was before",
    "11.10(h)": "the source of what is recorded is checked",
    "11.10(k)": "documents that steer the system have revisions, and a trail of their changes",
}


def marked() -> dict[str, list[str]]:
    """Return, for each clause, the tests that carry its mark, as `file::test`; unknown clauses raise KeyError."""
    found: dict[str, list[str]] = {clause: [] for clause in CLAUSES}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, clause in _marks(ast.parse(path.read_text())):
            found[clause].append(f"{path.relative_to(TESTS).as_posix()}::{name}")
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.part11":
                yield from ((node.name, ast.literal_eval(clause)) for clause in mark.args)


def table() -> str:
    """Return the table as Markdown: a test's name is the sentence that it proves."""
    rows = ["| clause | what it asks for | proved by |", "|---|---|---|"]
    for clause, tests in marked().items():
        said = "; ".join(_sentence(test) for test in tests)
        rows.append(f"| {clause} | {CLAUSES[clause]} | {said} |")
    return "\n".join(rows)


def _sentence(test: str) -> str:
    file, name = test.split("::")
    return f"{name.removeprefix('test_').replace('_', ' ')} (`{Path(file).stem.removeprefix('test_')}`)"


def written(text: str) -> str:
    """Return the README's text with the table as it must be."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
