"""Domain `triage`: what a request asks for that names no kind, as a router needs to know it before it chooses a tier.

Labels, each as the request itself tells it:

- `out_of_domain`: `yes` for what is none of the fleet's business (elsewhere.py), at whatever length and in whatever tone.
- `kind`: which of the fleet's tasks it is. The task's words are prompts of the other domains, as their producers submit them.
- `risk`: the harm that a failure can do (IEC 62304): C for death or serious injury, B for injury that is not serious, A for none, and
  where nothing is said.
- `retrieval`: `yes` where the request says that documents must be read, else `no`.
- `modality`: `image` where the request comes with a picture, else `text`.

Of a request out of the domain nothing else is asked. A task's content has the split that its own domain
gives it; a topic out of the domain is split by its hash. An unseen item takes its task in unseen words, and each clause beside it from
the unseen quarter of its bank. Training and validation hear more than an examination asks: three clauses in five are sentences of
harms.py and references.py, which no sealed item has, and some say nothing of any label.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from importlib import import_module

from tierproof_domains.item import Item, Phrasing, Split, canonical
from tierproof_domains.splitting import Bank, draws
from tierproof_domains.triage import clauses, elsewhere, harms, references
from tierproof_domains.triage.grammar import Grammar

KIND = "triage"
SEED = 1
KINDS = ("dicom-adjacent", "embedded-fw-c", "reg-doc-drafting")
OUTSIDE = "elsewhere"
LABELS = {
    "out_of_domain": ("no", "yes"),
    "kind": KINDS,
    "modality": ("image", "text"),
    "retrieval": ("no", "yes"),
    "risk": ("A", "B", "C"),
}
_OUTSIDE_SHARE = 0.25
_LONGEST_TASK = 700  # characters: longer ones are cut by the encoder and tell no more
_Words = tuple[Bank, Grammar]
_RISKS: dict[str, _Words] = {
    "A": (clauses.HARMLESS, harms.HARMLESS),
    "B": (clauses.MINOR, harms.MINOR),
    "C": (clauses.SERIOUS, harms.SERIOUS),
}
_RETRIEVAL: dict[str, _Words] = {
    "yes": (clauses.LOOK_UP, references.LOOK_UP),
    "no": (clauses.ALL_HERE, references.ALL_HERE),
}
_MODALITY: dict[str, _Words] = {
    "image": (clauses.PICTURE, references.PICTURE),
    "text": (clauses.PLAIN, references.PLAIN),
}
_WIDER_SHARE, _NEITHER_SHARE = 0.6, 0.3  # of the clauses, and of the requests, where nothing is examined


def items(split: Split, *, seed: int = SEED, most: int) -> Iterator[Item]:
    """Yield up to `most` items of one split, each prompt once; of the prompts, 8 bytes each are remembered for that."""
    tasks = {kind: _Tasks(kind, split, seed) for kind in KINDS}
    asked: set[bytes] = set()
    for chance, phrasing in draws(KIND, split, seed):
        if len(asked) >= most:
            return
        kind = OUTSIDE if chance.random() < _OUTSIDE_SHARE else chance.choice(KINDS)
        task = elsewhere.draw(chance, split, phrasing) if kind == OUTSIDE else tasks[kind].next(phrasing)
        prompt, said = _around(task, chance, phrasing, wider=split != "sealed")
        mark = hashlib.sha256(prompt.encode()).digest()[:8]
        if mark in asked:
            continue
        asked.add(mark)
        labels = {"out_of_domain": "yes"} if kind == OUTSIDE else {"out_of_domain": "no", "kind": kind, **said}
        yield Item(
            kind=KIND, split=split, phrasing=phrasing, family=kind, prompt=prompt, inputs={}, answer=canonical(labels)
        )


def check(item: Item, answer: str) -> list[str]:
    """Return which labels of an answer are missing or wrong; of a request out of the domain only that is looked at."""
    try:
        given = json.loads(answer)
    except ValueError:
        return ["the text is not JSON"]
    if not isinstance(given, dict):
        return ["the JSON value must be an object"]
    return [
        f"/{name}: is missing or wrong" for name, label in json.loads(item.answer).items() if given.get(name) != label
    ]


class _Tasks:
    """The tasks of one kind, in the words of its own domain, by phrasing; repairs are left out."""

    def __init__(self, kind: str, split: Split, seed: int) -> None:
        module = import_module(f"tierproof_domains.{kind.replace('-', '_')}")
        self._items: Iterator[Item] = module.items(split, seed=seed, most=10**9)
        self._waiting: dict[Phrasing, list[str]] = {"seen": [], "unseen": []}

    def next(self, phrasing: Phrasing) -> str:
        """Return the next task in seen or unseen words."""
        while not self._waiting[phrasing]:
            item = next(self._items)
            if not item.repair_of and len(item.prompt) <= _LONGEST_TASK:
                self._waiting[item.phrasing].append(item.prompt)
        return self._waiting[phrasing].pop(0)


def _around(task: str, chance: random.Random, phrasing: Phrasing, *, wider: bool) -> tuple[str, dict[str, str]]:
    """Return a request with what it says beside its task, in any order, and the labels that follow."""
    said = {"modality": "text", "retrieval": "no", "risk": "A"}
    beside: list[str] = []

    def say(words: _Words) -> None:
        bank, grammar = words
        heard = wider and chance.random() < _WIDER_SHARE
        beside.append(grammar.drawn(chance) if heard else bank.drawn(chance, phrasing))

    risk = chance.choice(("A", "B", "C", None))
    if risk is not None:
        said["risk"] = risk
        say(_RISKS[risk])
    retrieval = chance.choice(("yes", "yes", "no", None, None))
    if retrieval is not None:
        said["retrieval"] = retrieval
        say(_RETRIEVAL[retrieval])
    modality = chance.choice(("image", "image", "text", None, None))
    if modality is not None:
        said["modality"] = modality
        say(_MODALITY[modality])
    if wider and chance.random() < _NEITHER_SHARE:
        beside.append(references.NEITHER.drawn(chance))
    chance.shuffle(beside)
    before = chance.randint(0, len(beside))
    opening = clauses.OPENING.any_drawn(chance, phrasing) if chance.random() < 0.4 else ""  # noqa: PLR2004 - a taste
    return opening + " ".join([*beside[:before], task, *beside[before:]]), said
