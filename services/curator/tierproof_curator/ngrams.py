"""Sealed examinations, known only as keyed hashes of their n-grams: enough to find a leak, not enough to read a question.

Two views of a text: its words, and its code tokens with every identifier replaced by one mark, comments gone. The first finds what
was copied, the second what was copied and renamed. Numbers and string literals stay as they are.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof_proofs import digests

from tierproof_curator.errors import SealedSetRefused
from tierproof_curator.records import Record

FORM = "sealed-ngrams.v1"  # names how a text becomes words and tokens, too: raise it when that changes
_COMMENT = re.compile(
    r"\\\n|/\*.*?\*/|//[^\n]*|#(?!include|define|if|endif|else)[^\n]*|\"\"\".*?\"\"\"|'''.*?'''", re.DOTALL
)
_WORD = re.compile(r"[A-Za-z0-9_]+")
_TOKEN = re.compile(
    r"[rbfuRBFU]{0,2}\"(?:[^\"\\\n]|\\.)*\"|[rbfuRBFU]{0,2}'(?:[^'\\\n]|\\.)*'|[A-Za-z_]\w*|0[xX][0-9A-Fa-f]+|\d+(?:\.\d+)?|[^\w\s]"
)
_CONTROL = "if else for while do return switch case break continue default def class import from as with try except finally raise"
_TYPES = "void bool int char long short unsigned signed float double uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t"
_OTHERS = (
    "struct typedef const static true false yield lambda and or not in is None True False pass assert async await self"
)
_KEYWORDS = frozenset(f"{_CONTROL} {_TYPES} {_OTHERS}".split())
Grams = frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How likeness is measured: lengths of n-grams, how many there must be, and the share of a sealed text that counts as a leak.

    A window of tokens says something when enough of it is not a bare name; a text is code when enough of its windows do.
    """

    words: int = 7
    tokens: int = 8
    fewest: int = 10
    share_percent: int = 75
    least_structure_percent: int = 40
    least_code_percent: int = 60

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Measure":
        """Return the measure of a file. Raises TypeError."""
        return cls(**{name: int(value) for name, value in said.items()})

    def to_json(self) -> dict[str, int]:
        """Return the measure as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Sealed:
    """One item of a sealed set: its name, and the hashes of each view of each of its parts."""

    name: str
    views: tuple[tuple[str, Grams], ...]


def views_of(text: str, measure: Measure, key: bytes) -> dict[str, Grams]:
    """Return a text's n-grams as keyed hashes, by view: `words`; `tokens`, empty for prose, of which only marks would be left."""
    words = [word.lower() for word in _WORD.findall(text)]
    code = list(_windows(list(_tokens(text)), measure.tokens))
    structured = [gram for gram in code if _has_structure(gram, measure.least_structure_percent)]
    is_code = 100 * len(structured) >= measure.least_code_percent * max(1, len(code))
    return {
        "words": _hashed(_windows(words, measure.words), key),
        "tokens": _hashed(structured if is_code else (), key),
    }


def _tokens(text: str) -> Iterator[str]:
    for token in _TOKEN.findall(_COMMENT.sub(" ", text)):
        if token[-1] in "\"'" and len(token) > 1:
            yield f'"{token[:-1].lstrip("rbfuRBFU")[1:]}"'
        elif token[0].isalpha() or token[0] == "_":
            yield token if token in _KEYWORDS else "I"
        else:
            yield token


def _windows(parts: Sequence[str], length: int) -> Iterator[Sequence[str]]:
    for start in range(max(0, len(parts) - length + 1)):
        yield parts[start : start + length]


def _has_structure(gram: Sequence[str], least_percent: int) -> bool:
    """Tell a piece of code from prose, of which nothing but marks would be left."""
    return 100 * sum(part != "I" for part in gram) >= least_percent * len(gram)


def _hashed(grams: Iterable[Sequence[str]], key: bytes) -> Grams:
    return frozenset(
        int.from_bytes(hashlib.blake2b("\x1f".join(gram).encode(), digest_size=8, key=key).digest()) for gram in grams
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSet:
    """A sealed examination as hashes; `digest` names it in locks and statements."""

    name: str
    key: bytes
    measure: Measure
    items: tuple[Sealed, ...]
    digest: str

    def overlapping(self) -> "Search":
        """Return a search over this set."""
        return Search(self)


class Search:
    """Which sealed item a text repeats, if any: one pass over the text's n-grams."""

    def __init__(self, sealed: SealedSet) -> None:
        self._set = sealed
        self._views = [(item.name, view, grams) for item in sealed.items for view, grams in item.views]
        self._where: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, (_, view, grams) in enumerate(self._views):
            for gram in grams:
                self._where[view, gram].append(number)

    def leak_in(self, record: Record) -> tuple[str, str] | None:
        """Return the sealed item that a record repeats and the view that shows it, or None."""
        parts = [
            part for part in (record.text, record.prompt, record.completion, record.chosen, record.rejected) if part
        ]
        return self.leak_in_texts([*parts, "\n".join(parts)] if len(parts) > 1 else parts)

    def leak_in_texts(self, texts: Sequence[str]) -> tuple[str, str] | None:
        """Return the first sealed item of which one of the texts holds too large a share."""
        measure = self._set.measure
        for text in texts:
            counts: dict[int, int] = defaultdict(int)
            for view, grams in views_of(text, measure, self._set.key).items():
                for gram in grams:
                    for number in self._where.get((view, gram), ()):
                        counts[number] += 1
            for number, count in counts.items():
                item, view, grams = self._views[number]
                if 100 * count >= measure.share_percent * len(grams):
                    return item, view
        return None


def sealed_item(name: str, parts: Sequence[str], measure: Measure, key: bytes) -> Sealed:
    """Return an item as hashes: each part by each view that has enough n-grams to tell anything."""
    found = [(view, grams) for part in parts for view, grams in views_of(part, measure, key).items()]
    return Sealed(name, tuple((view, grams) for view, grams in found if len(grams) >= measure.fewest))


def written(name: str, items: Iterable[Sealed], measure: Measure, key: bytes) -> bytes:
    """Return the file of a sealed set: a line that says how it was made, then a line per item."""
    head = {"form": FORM, "name": name, "key": key.hex(), "measure": measure.to_json()}
    lines = [
        head,
        *(
            {
                "item": item.name,
                "views": [[view, sorted(f"{gram:016x}" for gram in grams)] for view, grams in item.views],
            }
            for item in items
        ),
    ]
    return "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines).encode()


def read(path: Path) -> SealedSet:
    """Return the sealed set of a file. Raises SealedSetRefused."""
    try:
        content = path.read_bytes()
        head, *lines = [json.loads(line) for line in content.splitlines()]
        if head["form"] != FORM:
            raise SealedSetRefused(f"{path}: its form is {head['form']!r}; this release reads {FORM}")
        items = tuple(
            Sealed(
                line["item"], tuple((view, frozenset(int(gram, 16) for gram in grams)) for view, grams in line["views"])
            )
            for line in lines
        )
        found = SealedSet(
            name=head["name"], key=bytes.fromhex(head["key"]), measure=Measure.read(head["measure"]), items=items,
            digest=digests.of_bytes(content),
        )  # fmt: skip
    except OSError as error:
        raise SealedSetRefused(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SealedSetRefused(
            f"{path}: not a file of hashed n-grams ({error}); write one with `tierproof data seal`"
        ) from None
    if not any(item.views for item in found.items):
        raise SealedSetRefused(
            f"{path}: no item has enough n-grams to be found again; choose longer items or a smaller measure"
        )
    return found
