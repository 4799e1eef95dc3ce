"""Sentences out of frames and words: what training hears beside the phrases of a bank. No sealed item is ever made of one."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Grammar:
    """Frames whose `{slots}` are filled with words; words may have slots of their own. Raises KeyError for a slot without words."""

    frames: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]

    def drawn(self, chance: random.Random) -> str:
        """Return one sentence, its first letter a capital."""
        sentence = chance.choice(self.frames)
        while slot := _SLOT.search(sentence):
            sentence = f"{sentence[: slot.start()]}{chance.choice(self.slots[slot[1]])}{sentence[slot.end() :]}"
        return sentence[0].upper() + sentence[1:]
