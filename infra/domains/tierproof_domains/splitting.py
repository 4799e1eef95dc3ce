"""What is learned and what is examined never meet: content is split by its hash, and so are the ways of phrasing it.

A content key names the family and all values and names of a task, without any phrasing; its hash alone decides its split. A quarter
of each bank of phrases is unseen: training and validation never use it; half of the sealed items take their main clause from it.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tierproof_domains.item import Phrasing, Split, canonical

_OF_TWENTY = 20  # eighteen are for training, one for validation, one is sealed


def content_key(family: str, values: Mapping[str, Any]) -> str:
    """Return the key of a task's content: whatever must not be in two splits."""
    return canonical({"family": family, "values": dict(values)})


def split_of(key: str) -> Split:
    """Return the split to which a content belongs: 90 % train, 5 % validation, 5 % sealed."""
    place = _hashed(f"split|{key}") % _OF_TWENTY
    return "train" if place < _OF_TWENTY - 2 else "validation" if place == _OF_TWENTY - 2 else "sealed"


@dataclass(frozen=True, slots=True)
class Bank:
    """Phrases that mean the same. The quarter with the smallest hashes is unseen (at least one phrase, where there are two)."""

    phrases: tuple[str, ...]
    seen: tuple[str, ...] = field(init=False)
    unseen: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.phrases or len(set(self.phrases)) != len(self.phrases):
            raise ValueError("a bank needs different phrases")
        ranked = sorted(self.phrases, key=lambda phrase: _hashed(f"phrase|{phrase}"))
        kept = max(1, len(ranked) // 4) if len(ranked) > 1 else 0
        object.__setattr__(self, "unseen", tuple(phrase for phrase in self.phrases if phrase in set(ranked[:kept])))
        object.__setattr__(self, "seen", tuple(phrase for phrase in self.phrases if phrase not in set(ranked[:kept])))

    def drawn(self, chance: random.Random, phrasing: Phrasing) -> str:
        """Return a phrase that is seen, or one that is unseen."""
        return chance.choice(self.seen if phrasing == "seen" else self.unseen or self.seen)

    def any_drawn(self, chance: random.Random, phrasing: Phrasing) -> str:
        """Return a seen phrase, or any phrase for an unseen item: for what stands beside an unseen main clause."""
        return chance.choice(self.seen if phrasing == "seen" else self.phrases)


def draws(domain: str, split: Split, seed: int) -> Iterator[tuple[random.Random, Phrasing]]:
    """Yield, without end, a seeded generator for each item and the item's phrasing: every other one of the sealed is unseen.

    A domain draws contents from the generator until one belongs to the split, so that items are as evenly divided as draws are.
    """
    number = 0
    while True:
        chance = random.Random(f"tierproof-domains|{domain}|{split}|{seed}|{number}")  # noqa: S311 - reproducible
        yield chance, "unseen" if split == "sealed" and number % 2 else "seen"
        number += 1


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
