"""The attributes of DICOM PS3.6, from the dictionary that the verifier uses, and what a name says of its value representation."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from tierproof_domains.item import Split
from tierproof_domains.splitting import content_key, split_of

LONGEST_KEYWORD = 36
DECISIVE = 0.7  # of the attributes with one last word have one value representation
FEWEST = 3  # attributes with that last word
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[0-9]+|[a-z]+")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of PS3.6, table 6-1."""

    group: int
    element: int
    name: str
    keyword: str
    vr: str
    vm: str

    @property
    def tag(self) -> str:
        """The tag as answers write it."""
        return f"({self.group:04X},{self.element:04X})"

    @property
    def last_word(self) -> str:
        """The word by which a keyword says what kind of value it is: `Date` in `StudyDate`."""
        return str(_WORD.findall(self.keyword)[-1])


@cache
def attributes() -> tuple[Attribute, ...]:
    """Return the attributes that are asked about: current ones, with a short keyword of their own and one value representation."""
    by_word: dict[str, str] = {}
    chosen = []
    for number, (vr, vm, name, retired, keyword) in DicomDictionary.items():
        owned = all(by_word.setdefault(word, keyword) == keyword for word in (keyword.lower(), name.lower()))
        plain = re.fullmatch(r"[A-Z]{2}", vr) and name.isascii() and 0 < len(keyword) <= LONGEST_KEYWORD
        if owned and plain and not retired:
            chosen.append(Attribute(number >> 16, number & 0xFFFF, name, keyword, vr, vm))
    return tuple(chosen)


@cache
def of_split(split: Split) -> tuple[Attribute, ...]:
    """Return the attributes of one split: no other split names them, be it as a question or beside one."""
    return tuple(one for one in attributes() if split_of(content_key("dicom", {"attribute": one.keyword})) == split)


@cache
def telling(split: Split) -> tuple[Attribute, ...]:
    """Return the attributes whose last word mostly decides the value representation, with the exceptions among them.

    Sequences are apart: they are a quarter of the dictionary, and all of them are named so.
    """
    decisive = _decisive()
    return tuple(one for one in of_split(split) if one.last_word in decisive and one.vr != "SQ")


@cache
def sequences(split: Split) -> tuple[Attribute, ...]:
    """Return the sequences of a split: their last word says so."""
    return tuple(one for one in of_split(split) if one.vr == "SQ" and one.last_word == "Sequence")


@cache
def multiple(split: Split) -> tuple[Attribute, ...]:
    """Return the attributes of a split that hold several values: one in ten."""
    return tuple(one for one in of_split(split) if one.vm != "1")


def representations() -> tuple[str, ...]:
    """Return the value representations of the dictionary."""
    return tuple(sorted({one.vr for one in attributes()}))


@cache
def _decisive() -> frozenset[str]:
    counted: dict[str, Counter[str]] = {}
    for one in attributes():
        counted.setdefault(one.last_word, Counter())[one.vr] += 1
    return frozenset(
        word
        for word, seen in counted.items()
        if seen.total() >= FEWEST and seen.most_common(1)[0][1] >= DECISIVE * seen.total()
    )
