"""`python -m tierproof_domains`: write items of a domain to a file, describe a domain, prove its items."""

import argparse
import collections
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from tierproof_domains.item import SPLITS, Item, Phrasing, Split, item_from

_EVERY = ("dicom-adjacent", "embedded-fw-c", "reg-doc-drafting", "triage")
DOMAINS = {
    name: module
    for name in _EVERY
    if importlib.util.find_spec(module := f"tierproof_domains.{name.replace('-', '_')}") is not None
}
_DESCRIBED = 300  # items of each split that a description counts
_TRIED = 100  # times as many as are asked for
_Command = Callable[[argparse.Namespace], int]


class NotItems(ValueError):
    """A file that is named as one of items, and is none."""


class Domain(Protocol):
    """What the module of each domain offers."""

    def items(self, split: Split, *, seed: int = 1, most: int) -> Iterator[Item]:
        """Yield items of a split."""
        ...

    def check(self, item: Item, answer: str) -> list[str]:
        """Return what is wrong with an answer."""
        ...


def domain_of(name: str) -> Domain:
    """Return the module of a domain."""
    module: Domain = importlib.import_module(DOMAINS[name])
    return module


def write(asked: argparse.Namespace) -> int:
    """Write items, one canonical JSON line each; the file appears when it is complete."""
    unfinished = asked.to.with_name(f".{asked.to.name}.{os.getpid()}")
    count = 0
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for item in _wanted(asked):
                file.write(item.as_line() + "\n")
                count += 1
        unfinished.replace(asked.to)
    finally:
        unfinished.unlink(missing_ok=True)
    sys.stdout.write(f"{count} items of {asked.domain} ({asked.split}) in {asked.to}\n")
    return 0 if count == asked.items else 1


def _wanted(asked: argparse.Namespace) -> Iterator[Item]:
    """Yield the items asked for; apart from a file, only those whose shape no item of it has, evenly by phrasing.

    Then, and where one family is asked for, at most a hundred times as many items are tried as are asked for: fewer may be found.
    """
    domain = domain_of(asked.domain)
    if asked.apart_from is None:
        tried = domain.items(asked.split, seed=asked.seed, most=asked.items * (_TRIED if asked.family else 1))
        yield from islice((item for item in tried if asked.family in {None, item.family}), asked.items)
        return
    shape: Callable[[Item], str] = getattr(domain, "shape_of", lambda item: item.answer)
    known = {shape(item) for item in _items_in(asked.apart_from)}
    fresh = (
        item
        for item in domain.items(asked.split, seed=asked.seed, most=_TRIED * asked.items)
        if shape(item) not in known and asked.family in {None, item.family}
    )
    phrasings = ("seen", "unseen") if asked.split == "sealed" else ("seen",)
    left = {phrasing: asked.items // len(phrasings) for phrasing in phrasings}
    for item in fresh:
        if left[item.phrasing]:
            left[item.phrasing] -= 1
            yield item
        if not any(left.values()):
            return


def describe(asked: argparse.Namespace) -> int:
    """Print families, lengths and one example of a domain."""
    domain = domain_of(asked.domain)
    items = [item for split in SPLITS for item in domain.items(split, seed=asked.seed, most=_DESCRIBED)]
    families = collections.Counter(item.family for item in items)
    phrasings: collections.Counter[tuple[Split, Phrasing]] = collections.Counter(
        (item.split, item.phrasing) for item in items
    )
    sys.stdout.write(f"{(domain.__doc__ or '').splitlines()[0]}\n")
    sys.stdout.write(f"families ({len(families)}): {', '.join(sorted(families))}\n")
    sys.stdout.write(f"repairs: {sum(bool(item.repair_of) for item in items)} of {len(items)}\n")
    for (split, phrasing), count in sorted(phrasings.items()):
        sys.stdout.write(f"{split}, {phrasing} phrasing: {count}\n")
    for part in ("prompt", "answer"):
        lengths = sorted(len(getattr(item, part)) for item in items)
        sys.stdout.write(f"{part}: {sum(lengths) // len(lengths)} characters on average, {lengths[-1]} at most\n")
    sys.stdout.write(f"for example:\n{items[0].prompt}\n->\n{items[0].answer}\n")
    return 0


def check(asked: argparse.Namespace) -> int:
    """Check each item of a file: its answer is right, and what it rejects is wrong."""
    domain, faults = domain_of(asked.domain), 0
    for item, wrong in _checked(domain, _items_in(asked.file)):
        faults += bool(wrong)
        for fault in wrong:
            sys.stdout.write(f"{item.id} {fault}\n")
    sys.stdout.write(f"{faults} items are wrong\n")
    return 1 if faults else 0


def _items_in(path: Path) -> Iterator[Item]:
    """Yield the items of a file. Raises NotItems, OSError."""
    with path.open(encoding="utf-8") as lines:
        try:
            yield from map(item_from, lines)
        except ValueError as error:
            raise NotItems(f"{path} is no file of items ({error})") from None


def _checked(domain: Domain, items: Iterator[Item]) -> Iterator[tuple[Item, list[str]]]:
    many: Callable[[Iterator[Item]], Iterator[tuple[Item, list[str]]]] | None = getattr(domain, "check_many", None)
    if many is not None:
        yield from many(items)
        return
    for item in items:
        right = [answer for answer in item.rejected if not domain.check(item, answer)]
        yield item, [*domain.check(item, item.answer), *(f"a rejected answer is right: {answer}" for answer in right)]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tierproof_domains", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in (("write", write), ("describe", describe), ("check", check)):
        own = commands.add_parser(name, help=(command.__doc__ or "").splitlines()[0])
        own.set_defaults(command=command)
        own.add_argument("domain", choices=sorted(DOMAINS))
        own.add_argument("--seed", type=int, default=1, help="another seed gives other items")
        if command is write:
            own.add_argument("--items", type=_count, required=True)
            own.add_argument("--split", choices=SPLITS, required=True)
            own.add_argument("--family", help="only this skill; `describe` names them")
            own.add_argument(
                "--apart-from",
                type=Path,
                metavar="FILE.jsonl",
                help="only what no item of FILE has, whatever its names",
            )
            own.add_argument("--to", type=Path, required=True, metavar="FILE.jsonl")
        if command is check:
            own.add_argument("file", type=Path, metavar="FILE.jsonl")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 otherwise, 2 for wrong usage and files that cannot be used."""
    asked = _parser().parse_args(arguments)
    command: _Command = asked.command
    try:
        return command(asked)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    except NotItems as error:
        sys.stderr.write(f"{error}; write one with `python -m tierproof_domains write`\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
