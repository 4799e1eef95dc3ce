"""`python -m tierproof_contracts`: check the committed schemas against the models, write them, or show one.

Exit 0: equal or written. 1: they differ, or the change is refused. 2: wrong usage.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tierproof_contracts import asyncapi, schemas
from tierproof_contracts.compatibility import incompatibilities

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
ADVICE = (
    "Make the field optional, or leave the version as it is and add a new one on a new subject, with an upcaster"
    " (contracts/README.md)."
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tierproof_contracts", description=__doc__)
    parser.add_argument("command", choices=["check", "write", "show"])
    parser.add_argument("event_type", nargs="?", help="for show: an event type or a document")
    parser.add_argument("--folder", type=Path, default=SCHEMAS, help="the schema folder (default: beside the sources)")
    chosen = parser.parse_args(arguments)
    made = dict(schemas.files())
    if chosen.command == "show":
        return show(made, chosen.event_type)
    if not chosen.folder.is_dir():
        parser.error(f"{chosen.folder} is no folder; name the repository's contracts/schemas with --folder")
    return check(made, chosen.folder) if chosen.command == "check" else write(made, chosen.folder)


def check(made: Mapping[str, dict[str, Any]], folder: Path) -> int:
    """Compare the committed schemas with the models."""
    refused = [*asyncapi.faults_of(made[schemas.ASYNCAPI], frozenset(made)), *refusals(made, folder)]
    if refused:
        return _say(1, *refused, ADVICE)
    stale = sorted(changed(made, folder))
    if stale:
        return _say(1, *(f"{name}: differs from its model, compatibly" for name in stale), "Regenerate: make contracts")
    return _say(0, f"{len(made)} files as committed")


def write(made: Mapping[str, dict[str, Any]], folder: Path) -> int:
    """Write the schemas of the models, unless one of them may not take the place of the committed one."""
    refused = list(refusals(made, folder))
    if refused:
        return _say(1, *refused, ADVICE, "Nothing was written.")
    stale = sorted(changed(made, folder))
    for name in stale:
        (folder / name).write_bytes(schemas.file_bytes(made[name]))
    return _say(0, *(f"wrote {name}" for name in stale), f"{len(made)} files are up to date")


def show(made: Mapping[str, dict[str, Any]], event_type: str | None) -> int:
    """Print one schema, or the names of all."""
    if event_type is None:
        return _say(0, *(name.removesuffix(".json") for name in made))
    found = made.get(f"{event_type}.json")
    if found is None:
        return _say(2, f"{event_type}: no such event or document; without a name, show lists them")
    return _say(0, schemas.file_bytes(found).decode().rstrip())


def refusals(made: Mapping[str, dict[str, Any]], folder: Path) -> Iterator[str]:
    """Yield each incompatible difference as `file: field: what is wrong`."""
    for path in sorted(folder.glob("*.json")):
        if path.name == schemas.ASYNCAPI:
            continue
        if path.name not in made:
            yield f"{path.name}: the contract is gone, and its messages could not be read back any more"
            continue
        old = json.loads(path.read_bytes())
        document = path.stem in schemas.DOCUMENTS
        for fault in incompatibilities(old, made[path.name], old_readers_read_new=not document):
            yield f"{path.name}: {fault}"


def changed(made: Mapping[str, dict[str, Any]], folder: Path) -> Iterator[str]:
    """Yield the names of the files that are missing or differ in a byte."""
    for name, content in made.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != schemas.file_bytes(content):
            yield name


def _say(status: int, *lines: str) -> int:
    (sys.stderr if status else sys.stdout).write("".join(f"{line}\n" for line in lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
