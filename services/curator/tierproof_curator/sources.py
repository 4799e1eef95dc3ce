"""From task items to records and sealed sets: what the domains of this repository deliver."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tierproof_domains.item import Item, item_from

from tierproof_curator import ngrams
from tierproof_curator.errors import RecordRefused
from tierproof_curator.records import LineLimits, Record, lines_of

GENERATED, LICENCE = "synthetic-verified", "Apache-2.0"
LABELLED = "triage"


def items_of(path: Path, limits: LineLimits) -> Iterator[Item]:
    """Yield the items of a file. Raises RecordRefused."""
    for number, line in lines_of(path, limits):
        try:
            yield item_from(line.decode())
        except ValueError as error:
            raise RecordRefused(
                number, "(line)", str(error), "write items with `python -m tierproof_domains write`"
            ) from None


def lessons_of(path: Path, limits: LineLimits) -> Iterator[Record]:
    """Yield the items of a file as records. Raises RecordRefused, for a sealed item above all: it is asked, never taught."""
    for number, item in enumerate(items_of(path, limits), 1):
        if item.split == "sealed":
            mend = "make records of items that were written with `--split train`"
            raise RecordRefused(number, "split", f"item {item.id} belongs to a sealed examination", mend)
        yield record_of_item(item)


def record_of_item(item: Item) -> Record:
    """Return an item as a record to learn from. Its generator has shown that the answer is right.

    What triage answers are labels, for a classifier to learn.
    """
    lesson: dict[str, Any] = (
        {"text": item.prompt, "labels": json.loads(item.answer)}
        if item.kind == LABELLED
        else {"prompt": item.prompt, "completion": item.answer}
    )
    source = f"tierproof-domains/{item.kind}/{item.family}"
    return Record(id=item.id, kind=item.kind, label="synthetic-verified", licence=LICENCE, source=source, **lesson)


def seal(name: str, items: Iterable[Item], measure: ngrams.Measure, key: bytes | None = None) -> bytes:
    """Return the sealed set of items: prompts and answers as keyed hashes."""
    chosen = key or secrets.token_bytes(16)
    return ngrams.written(
        name,
        (ngrams.sealed_item(item.id, (item.prompt, item.answer), measure, chosen) for item in items),
        measure,
        chosen,
    )


def key_of(text: str) -> bytes:
    """Return a key that follows from a text, where the same file is to be made again."""
    return hashlib.sha256(text.encode()).digest()[:16]
