"""Domain `reg-doc-drafting`: from what people say of a device to one JSON object of a regulatory document.

Families, each with its own schema: `requirement` (id, text, verification), `risk-control` (id, hazard, control, severity), `test-case`
(id, verifies, action, expected), `trace` (id, satisfies, verified_by).

House style, which the rules of each item hold answers to:

- A requirement or control is one sentence: `The <device> shall <do> <bound> <condition>.` with exactly one `shall`, no vague word, nothing
  left undecided (ISO/IEC/IEEE 29148:2018, 5.2.5 and 5.2.7). What a request says vaguely besides its value is left out.
- A value is a number and the unit's symbol with a space between (ISO 80000-1:2022, 7.1.4): "two seconds" becomes `2 s`.
- Verification: as the request says (bench test: test; calculation: analysis; looking: inspection; a demo: demonstration); else reactions,
  periods and physical limits by test, what is seen on the device by inspection, accuracy and endurance by analysis, steps of a user by
  demonstration.
- Severity (ISO 14971): death is `critical`, injury that needs treatment is `serious`, anything less is `minor`.
- A test case has one imperative action, and its expected outcome in the present tense: `The <device> <does> <bound>.`
- A trace lists the ids as named, in that order, without those named to be left out.

An answer is compact JSON, its members in the schema's order.
"""

import random
from collections.abc import Iterator

from tierproof_domains.item import Item, Phrasing, Split
from tierproof_domains.reg_doc_drafting import checking, families
from tierproof_domains.reg_doc_drafting.drawn import PATTERN, Drawn, written
from tierproof_domains.repairing import composed
from tierproof_domains.splitting import draws, split_of

KIND = "reg-doc-drafting"
SEED = 1
REPAIRS = 0.087  # repairs for each other item, so that about 8 % of all are repairs
MOST_REJECTED = 3
# As the routing policy of the fleet says; a test holds the two together.
REPAIR_INSTRUCTIONS = "The last text was refused. Begin the text with: The device shall\nMend this:"
FINDINGS_SHOWN = 3


def items(split: Split, *, seed: int = SEED, most: int) -> Iterator[Item]:
    """Yield up to `most` items of one split. A repair follows the item whose wrong answer it repairs; none is sealed."""
    made = 0
    for chance, phrasing in draws(KIND, split, seed):
        item = _item(_drawn(chance, split), chance, split=split, phrasing=phrasing)
        follows = split != "sealed" and chance.random() < REPAIRS
        for one in (item, _repair(item, chance)) if follows else (item,):
            if made == most:
                return
            made += 1
            yield one


def check(item: Item, answer: str) -> list[str]:
    """Return what is wrong with an answer to an item, as `/field: note`; empty when it is right."""
    return [f"{fault.where}: {fault.note}" for fault in checking.faults(item.inputs, answer)]


def _drawn(chance: random.Random, split: Split) -> Drawn:
    while True:
        drawn = families.draw(chance)
        if split_of(drawn.key) == split:
            return drawn


def _item(drawn: Drawn, chance: random.Random, *, split: Split, phrasing: Phrasing) -> Item:
    known = list(drawn.known)
    chance.shuffle(known)
    return Item(
        kind=KIND,
        split=split,
        phrasing=phrasing,
        family=drawn.family,
        prompt=drawn.say(chance, phrasing),
        inputs={
            "schema": written(dict(drawn.schema)),
            "rules": written({"version": 1, "rules": list(drawn.rules)}),
            "requirements": "\n".join(known),
            "pattern": PATTERN,
        },
        answer=written(drawn.answer),
        rejected=tuple(written(wrong) for wrong in chance.sample(drawn.wrong, MOST_REJECTED)),
    )


def _repair(item: Item, chance: random.Random) -> Item:
    """Return the task that the router makes of an item whose answer was refused."""
    faults = checking.faults(item.inputs, chance.choice(item.rejected))[:FINDINGS_SHOWN]
    return Item(
        kind=item.kind,
        split=item.split,
        phrasing=item.phrasing,
        family=item.family,
        prompt=composed(item.prompt, REPAIR_INSTRUCTIONS, faults),
        inputs=item.inputs,
        answer=item.answer,
        rejected=item.rejected,
        repair_of=item.id,
    )
