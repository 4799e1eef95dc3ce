"""Sentences out of frames and words: what training hears beside the phrases of a bank. No sealed item is ever made of one."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Grammar:
    """Frames whose `{slots}` are filled with words, which a `|` parts and which may have slots of their own."""

    frames: tuple[str, ...]
    slots: Mapping[str, str]

    def drawn(self, chance: random.Random) -> str:
        """Return one sentence, its first letter a capital. Raises KeyError for a slot without words."""
        sentence = chance.choice(self.frames)
        while slot := _SLOT.search(sentence):
            sentence = (
                f"{sentence[: slot.start()]}{chance.choice(self.slots[slot[1]].split('|'))}{sentence[slot.end() :]}"
            )
        return sentence[0].upper() + sentence[1:]
