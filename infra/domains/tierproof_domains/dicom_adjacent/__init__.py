"""Domain `dicom-adjacent`: one JSON object with fields of one DICOM attribute.

What can be learned here, and what cannot:

- `vr-by-name`: the value representation, asked by keyword or name. A small model cannot know PS3.6 by heart, and the sealed attributes
  are facts that training never showed. What can be learned is how names tell it: `...Date` is DA, `...UID` is UI, `...Flag` is CS,
  `...Sequence` is SQ. Only attributes whose last word decides it in at least seven cases of ten are asked, the exceptions among them
  included; to guess by the last word is then right in about nine cases of ten. Tag and multiplicity follow from no name: they are asked
  of a row that the prompt shows, and of nothing else.
- `keyword-of-name`: a rule of spelling (`Patient's Birth Date` is `PatientBirthDate`), with few exceptions.
- `read-row`: two rows of the dictionary stand in the prompt; fields of one are asked back, the tag in its one right form. Reading.
- `action-of-profile`: a site's de-identification profile in words; asked is one action's code (PS3.15, table E.1-1a). The profile goes
  with the task as the input `deidentification`, so nothing is asked about the standard's own profile.

Attributes are split, not questions: an attribute of one split is named in no other, not even as a neighbour. The fleet resamples this
kind instead of telling findings, so there are no repairs.

An answer is compact JSON with the fields in the order asked for.
"""

import hashlib
import json
from collections.abc import Iterator

from tierproof_domains.dicom_adjacent import families
from tierproof_domains.item import Item, Split
from tierproof_domains.splitting import draws

KIND = "dicom-adjacent"
SEED = 1
MOST_REJECTED = 2


def items(split: Split, *, seed: int = SEED, most: int) -> Iterator[Item]:
    """Yield up to `most` items of one split, each prompt once; of the prompts, 8 bytes each are remembered for that."""
    asked: set[bytes] = set()
    for chance, phrasing in draws(KIND, split, seed):
        if len(asked) >= most:
            return
        one = families.draw(chance, split, phrasing)
        mark = hashlib.sha256(one.prompt.encode()).digest()[:8]
        if mark in asked:
            continue
        asked.add(mark)
        yield Item(
            kind=KIND,
            split=split,
            phrasing=phrasing,
            family=one.family,
            prompt=one.prompt,
            inputs=one.inputs,
            answer=json.dumps(one.facts),
            rejected=tuple(json.dumps(wrong) for wrong in chance.sample(one.wrong, MOST_REJECTED)),
        )


def check(item: Item, answer: str) -> list[str]:
    """Return what is wrong with an answer to an item; empty when it has each field asked for, as it is, and no other."""
    try:
        given = json.loads(answer)
    except ValueError:
        return ["the text is not JSON"]
    if not isinstance(given, dict):
        return ["the JSON value must be an object"]
    facts = json.loads(item.answer)
    wrong = [f"/{name}: is missing or wrong" for name, fact in facts.items() if given.get(name) != fact]
    return wrong + [f"/{name}: is not asked for" for name in given if name not in facts]
