"""Laws of the workspace: distributions, locks, the Makefile."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECTS = sorted(
    path for folder in ("contracts", "infra", "services") for path in (ROOT / folder).glob("*/pyproject.toml")
)
LOCKS = sorted((ROOT / "infra" / "locks").glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
OF_TRAINING = "train.txt"  # an environment of its own, which no part of the product runs in
STANDS_ALONE = "tierproof-verify"  # one file for strangers, who may have no newer Python: no package, so no py.typed
STATELESS = ("router", "inference_worker", "verifier")
_SAME = str.maketrans("_.", "--")  # in the name of a distribution (PEP 503)


def project_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return found


def pins_of(lock: Path) -> dict[str, str]:
    return dict(PINNED.findall(lock.read_text()))


def required_by(project: dict[str, Any]) -> set[str]:
    names = (
        re.split(r"[\s\[<>=!~;]", need, maxsplit=1)[0].lower().translate(_SAME) for need in project["dependencies"]
    )
    return {name for name in names if not name.startswith("tierproof-")}


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_each_distribution_has_the_same_shape(path: Path) -> None:
    project = project_of(path)
    package = project["name"].replace("-", "_").removesuffix("_client")
    assert project["version"] == "0.1.0"
    if project["name"] == STANDS_ALONE:
        assert project["requires-python"] == ">=3.9"
        assert (path.parent / f"{package}.py").exists()
    else:
        assert project["requires-python"] == ">=3.11"
        assert (path.parent / package / "py.typed").exists(), "types are published"
    bare = [
        need for need in project["dependencies"] if not re.search(r"[<>=]", need) and not need.startswith("tierproof-")
    ]
    assert bare == [], "each dependency of others has a range"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text) is None
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    unhashed = [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block]
    assert blocks
    assert unhashed == []


def test_locks_agree_with_each_other() -> None:
    everything = pins_of(ROOT / "infra" / "locks" / "all.txt")
    for lock in LOCKS:
        if lock.name not in {"all.txt", "unresolved.txt", "uv.txt", OF_TRAINING}:
            assert pins_of(lock).items() <= everything.items(), lock.name


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_what_a_distribution_needs_is_locked(path: Path) -> None:
    locked = (
        pins_of(ROOT / "infra" / "locks" / "all.txt").keys()
        | pins_of(ROOT / "infra" / "locks" / "unresolved.txt").keys()
    )
    assert required_by(project_of(path)) - locked == set(), "run `make lock`"


def test_no_lock_brings_a_training_framework() -> None:
    for lock in (lock for lock in LOCKS if lock.name != OF_TRAINING):
        assert {"torch", "transformers", "tensorflow", "vllm"} & pins_of(lock).keys() == set(), lock.name


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize(
    "service", [name for name in STATELESS if (ROOT / "services" / name / "pyproject.toml").exists()]
)
def test_a_stateless_service_has_no_database_driver(service: str) -> None:
    assert {"psycopg", "psycopg-binary", "asyncpg", "sqlalchemy"} & pins_of(
        ROOT / "infra" / "locks" / f"{service}.txt"
    ).keys() == set()


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):(.*)$", text, re.MULTILINE)
    undocumented = [name for name, rest in targets if "## " not in rest and name != "tools"]
    assert len(targets) > 8
    assert undocumented == []
    assert {name for name, _ in targets} <= set(re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]


def test_the_readme_names_only_targets_that_exist() -> None:
    known = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert named - known == set()


def test_the_import_laws_cover_every_service() -> None:
    laws = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    packages = {
        f"tierproof_{path.name}" for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists()
    }
    independent = next(law for law in laws["contracts"] if law["type"] == "independence")
    assert packages <= set(independent["modules"])
    deciding = {f"tierproof_{path.parts[-3]}.decide" for path in (ROOT / "services").glob("*/*/decide.py")}
    pure = next(law for law in laws["contracts"] if law["name"].startswith("Decisions are pure"))
    assert deciding <= set(pure["source_modules"])
