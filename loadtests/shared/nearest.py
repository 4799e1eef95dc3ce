"""The trivial baseline: the nearest training prompt by TF-IDF, its answer with this prompt's numbers and names put in their places."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from tierproof_domains.item import Item

WORD = re.compile(r"[A-Za-z]+|[0-9]+")
SLOT = re.compile(r"0[xX][0-9A-Fa-f]+|[A-Za-z]+-[0-9]+|[A-Za-z_]\w*_\w+|[0-9]+")


def words_of(text: str) -> list[str]:
    """Return a prompt's words; numbers count as one word, for their values differ in every item."""
    return ["#" if word.isdigit() else word.lower() for word in WORD.findall(text)]


class Nearest:
    """All training prompts, searchable."""

    def __init__(self, known: Sequence[Item]) -> None:
        counted = [Counter(words_of(item.prompt)) for item in known]
        documents = Counter(word for words in counted for word in words)
        self._weight = {word: math.log(len(known) / count) + 1 for word, count in documents.items()}
        self._known = known
        self._index: dict[str, list[tuple[int, float]]] = {}
        for number, words in enumerate(counted):
            for word, weight in self._normed(words).items():
                self._index.setdefault(word, []).append((number, weight))

    def answer(self, prompt: str) -> str:
        """Return the nearest prompt's answer, adapted."""
        scores: Counter[int] = Counter()
        for word, weight in self._normed(Counter(words_of(prompt))).items():
            for number, other in self._index.get(word, ()):
                scores[number] += weight * other  # type: ignore[assignment]
        best = self._known[max(scores, key=lambda number: (scores[number], -number))] if scores else self._known[0]
        return adapted(best.answer, best.prompt, prompt)

    def _normed(self, words: Counter[str]) -> dict[str, float]:
        weighed = {word: count * self._weight.get(word, 0.0) for word, count in words.items()}
        norm = math.sqrt(sum(weight * weight for weight in weighed.values())) or 1.0
        return {word: weight / norm for word, weight in weighed.items() if weight}


def adapted(answer: str, old: str, new: str) -> str:
    """Return an answer in which the slots of its own prompt are replaced by those of another, in their order."""
    here, there = list(dict.fromkeys(SLOT.findall(old))), list(dict.fromkeys(SLOT.findall(new)))
    mapped = dict(zip(here, there, strict=False))
    return SLOT.sub(lambda found: mapped.get(found.group(), found.group()), answer)
