"""Makes items of C tasks: a case, a wording, and for some the repair of a wrong answer."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tierproof_domains.embedded_fw_c.families import FAMILIES
from tierproof_domains.embedded_fw_c.faults import fault_of, wrong_answers
from tierproof_domains.embedded_fw_c.names import FRAMES, name_of
from tierproof_domains.embedded_fw_c.skill import Case, Family, defined, prototype, signature
from tierproof_domains.item import Item, Phrasing, Split
from tierproof_domains.repairing import composed
from tierproof_domains.splitting import content_key, draws, split_of

KIND = "embedded-fw-c"
REPAIR_INSTRUCTIONS = (
    "Your last function was refused:"  # as the routing policy of the fleet has it; a test compares them
)
REPAIRS_OF_100 = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An item with the case behind it: whoever has both can prove the answers right and the rejected wrong."""

    item: Item
    case: Case
    name: str


def items(split: Split, *, seed: int = 1, most: int) -> Iterator[Item]:
    """Yield `most` different items of a split."""
    return (each.item for each in made(split, seed=seed, most=most))


def made(split: Split, *, seed: int = 1, most: int) -> Iterator[Made]:
    """Yield `most` different items of a split. Of the training items some repair a wrong answer to one that came before."""
    known: set[bytes] = set()
    for number, (chance, phrasing) in enumerate(draws(KIND, split, seed)):
        if len(known) >= most:
            return
        family = FAMILIES[number // 2 % len(FAMILIES)] if split == "sealed" else FAMILIES[number % len(FAMILIES)]
        first = _made(family, split, phrasing, chance)
        repaired = split == "train" and chance.randrange(100) < REPAIRS_OF_100
        for each in (first, *(_repairs(first, chance) if repaired else ())):
            short = bytes.fromhex(each.item.id)
            if short not in known and len(known) < most:
                known.add(short)
                yield each


def _made(family: Family, split: Split, phrasing: Phrasing, chance: random.Random) -> Made:
    while True:
        case, name = family.make(chance), name_of(chance, family.verbs)
        described, answer = signature(name, case), defined(name, case, case.right.body)
        if split_of(content_key(family.slug, {"signature": described, "answer": answer})) == split:
            break
    words = case.words | {"proto": prototype(name, case)}
    core = family.cores.drawn(chance, phrasing).format(**words)
    prompt = FRAMES.any_drawn(chance, phrasing).format(core=core, **words)
    item = Item(
        kind=KIND,
        split=split,
        phrasing=phrasing,
        family=family.slug,
        prompt=prompt[0].upper() + prompt[1:] if not prompt.startswith(words["proto"]) else prompt,
        inputs={"signature": described, "reference": defined(name, case, case.reference)},
        answer=answer,
        rejected=wrong_answers(name, case),
    )
    return Made(item=item, case=case, name=name)


def _repairs(first: Made, chance: random.Random) -> Iterator[Made]:
    """Yield the task again with what the verifier says of one of its wrong answers."""
    item = first.item
    finding = fault_of(first.name, first.case, chance)
    if finding is not None:
        repair = Item(
            kind=KIND,
            split=item.split,
            phrasing=item.phrasing,
            family=item.family,
            prompt=composed(item.prompt, REPAIR_INSTRUCTIONS, [finding]),
            inputs=item.inputs,
            answer=item.answer,
            rejected=item.rejected,
            repair_of=item.id,
        )
        yield Made(item=repair, case=first.case, name=first.name)
