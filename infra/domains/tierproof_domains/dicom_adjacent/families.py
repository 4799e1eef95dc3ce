"""Four ways of asking about attributes. Each draws an attribute of the wanted split and asks for some of its fields."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from tierproof_domains.dicom_adjacent import dictionary, phrases
from tierproof_domains.dicom_adjacent.dictionary import Attribute
from tierproof_domains.item import Phrasing, Split, canonical

_READ = (("tag",), ("vr",), ("vm",), ("tag", "vr"), ("vr", "vm"), ("tag", "vm"), ("tag", "vr", "vm"))
_BY_TAG = (("keyword",), ("keyword", "vr"), ("keyword", "vm"))
_TAGS = ("({0:04X},{1:04X})", "{0:04X},{1:04X}", "{0:04x},{1:04x}", "{0:04X}{1:04X}", "0x{0:04X}{1:04X}")
_LENGTH = {"tag": 11, "keyword": 64, "vr": 2, "vm": 8, "action": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with its facts: `given` is what the prompt shows besides, `table` the site's own actions."""

    family: str
    prompt: str
    attribute: Attribute
    facts: Mapping[str, str]
    actions: Mapping[str, str]
    wrong: tuple[Mapping[str, str], ...]

    @property
    def inputs(self) -> dict[str, str]:
        """The named inputs of the verifier's check, and the schema that the answer is decoded under."""
        question = canonical({"attribute": self.attribute.keyword, "fields": list(self.facts)})
        members = {name: {"type": "string", "minLength": 1, "maxLength": _LENGTH[name]} for name in self.facts}
        schema = {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
        named = {"question": question, "schema": canonical(schema)}
        if self.actions:
            table = {"version": "site", "source": "the request", "actions": dict(self.actions)}
            named["deidentification"] = canonical(table)
        return named


def draw(chance: random.Random, split: Split, phrasing: Phrasing) -> Asked:
    """Draw a question of one family; how often each comes is stated here."""
    family = chance.choices((_representation, _keyword, _read, _action), weights=(24, 20, 34, 22))[0]
    return family(chance, split, phrasing)


def _representation(chance: random.Random, split: Split, phrasing: Phrasing) -> Asked:
    """Ask for the VR by keyword or name: learnable as far as the name's last word decides it."""
    sequence = chance.random() < 0.12  # noqa: PLR2004 - as often as some other representations
    one = chance.choice(dictionary.sequences(split) if sequence else dictionary.telling(split))
    others = chance.sample([vr for vr in dictionary.representations() if vr != one.vr], 2)
    return Asked(
        family="vr-by-name",
        prompt=_plain(chance, phrasing, ("vr",), chance.choice((one.keyword, one.name))),
        attribute=one,
        facts={"vr": one.vr},
        actions={},
        wrong=(*({"vr": vr} for vr in others), {"vr": one.vr.lower()}, {"vr": one.vr, "name": one.name}),
    )


def _keyword(chance: random.Random, split: Split, phrasing: Phrasing) -> Asked:
    """Ask for the keyword of a name: the words joined, each with a capital, without `'s` and signs."""
    one = chance.choice(dictionary.of_split(split))
    spoiled = {one.name, one.keyword[0].lower() + one.keyword[1:], f"{one.keyword}s", f"DICOM{one.keyword}"} - {
        one.keyword
    }
    return Asked(
        family="keyword-of-name",
        prompt=_plain(chance, phrasing, ("keyword",), chance.choice((one.name, f'"{one.name}"'))),
        attribute=one,
        facts={"keyword": one.keyword},
        actions={},
        wrong=tuple({"keyword": keyword} for keyword in sorted(spoiled)),
    )


def _read(chance: random.Random, split: Split, phrasing: Phrasing) -> Asked:
    """Show rows of the dictionary and ask one of them back: the facts are read, not remembered."""
    one = chance.choice(dictionary.multiple(split) if chance.random() < 0.3 else dictionary.of_split(split))  # noqa: PLR2004 - else VM is 1
    other = chance.choice([each for each in chance.sample(dictionary.of_split(split), 2) if each != one])
    shown, row = chance.choice(_TAGS), phrases.ROW.any_drawn(chance, phrasing)
    rows = [
        row.format(tag=shown.format(each.group, each.element), keyword=each.keyword, vr=each.vr, vm=each.vm)
        for each in (one, other)
    ]
    chance.shuffle(rows)
    by_tag = chance.random() < 0.25  # noqa: PLR2004 - the other way round
    fields = chance.choice(_BY_TAG if by_tag else _READ)
    called = shown.format(one.group, one.element) if by_tag else one.keyword
    facts, neighbour = _facts(one, fields), _facts(other, fields)
    raw = {**facts, fields[0]: f"{one.group:04x},{one.element:04x}" if fields[0] == "tag" else f" {facts[fields[0]]}"}
    wrong = [raw, {**facts, "name": one.name}, *({name: fact} for name, fact in list(facts.items())[1:])]
    return Asked(
        family="read-row",
        prompt=_sentence(
            phrases.GIVEN.any_drawn(chance, phrasing).format(rows="; ".join(rows)), chance, phrasing, fields, called
        ),
        attribute=one,
        facts=facts,
        actions={},
        wrong=(*wrong, neighbour) if neighbour != facts else tuple(wrong),
    )


def _action(chance: random.Random, split: Split, phrasing: Phrasing) -> Asked:
    """State a site's profile in words and ask for one action's code."""
    chosen = chance.sample(dictionary.of_split(split), chance.choice((2, 2, 3)))
    codes = {
        each.keyword: chance.choice([code for code in phrases.ACTION if code != "U" or each.vr == "UI"])
        for each in chosen
    }
    rules = ", ".join(chance.choice(phrases.ACTION[code]).format(a=keyword) for keyword, code in codes.items())
    one = chance.choice(chosen)
    code = codes[one.keyword]
    wrong = [{"action": other} for other in phrases.ACTION if other != code]
    return Asked(
        family="action-of-profile",
        prompt=_sentence(
            phrases.PROFILE.any_drawn(chance, phrasing).format(rules=rules), chance, phrasing, ("action",), one.keyword
        ),
        attribute=one,
        facts={"action": code},
        actions=codes,
        wrong=(*wrong, {"action": "remove"}, {"action": code, "vr": one.vr}),
    )


def _facts(one: Attribute, fields: tuple[str, ...]) -> dict[str, str]:
    known = {"tag": one.tag, "keyword": one.keyword, "vr": one.vr, "vm": one.vm}
    return {name: known[name] for name in fields}


def _plain(chance: random.Random, phrasing: Phrasing, fields: tuple[str, ...], called: str) -> str:
    return _sentence(phrases.OPENING.any_drawn(chance, phrasing), chance, phrasing, fields, called)


def _sentence(opening: str, chance: random.Random, phrasing: Phrasing, fields: tuple[str, ...], called: str) -> str:
    words = [chance.choice(phrases.FIELD[name]) for name in fields]
    what = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    question = phrases.QUESTION.drawn(chance, phrasing).format(what=what, a=called)
    return opening + question + phrases.CLOSING.any_drawn(chance, phrasing)
