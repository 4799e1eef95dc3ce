"""What strangers get is one file that they can read, and run on an old Python without anything else."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = (Path(__file__).parents[3] / "contracts/verify/tierproof_verify.py").read_text()
MOST_LINES = 746
pytestmark = pytest.mark.requirement("LED-proof")


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(SOURCE.splitlines()) <= MOST_LINES
    assert max(map(len, SOURCE.splitlines())) <= 140


def test_it_is_python_3_9() -> None:
    ast.parse(SOURCE, feature_version=(3, 9))


def test_it_needs_the_standard_library_alone() -> None:
    modules = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(SOURCE))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert modules - sys.stdlib_module_names == {"cryptography"}
