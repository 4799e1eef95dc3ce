"""A fact about a device, as it is drawn: what its right sentence is, by which rules that is known, and how people say it."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_domains.item import Phrasing
from tierproof_domains.reg_doc_drafting import devices, wording
from tierproof_domains.reg_doc_drafting.devices import Bound, Deed, Duty, Event, Method, Threshold

Rule = dict[str, Any]
_REACTION_TIMES = (("s", 2, 60, 1), ("s", 2, 12, 1), ("ms", 20, 990, 10), ("min", 2, 30, 1))
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DOUBLED = frozenset({"stop", "let"})
# Ways of writing a bound that mean the same: each is accepted in an answer.
_SAME: dict[Bound, str] = {
    "within": "within|in at most|no later than|no more than",
    "at most": "at most|no more than|up to",
    "at least": "at least|no less than|a minimum of",
    "every": "every|each|at intervals of",
}
_RISING = "exceeds|is above|rises above|goes above|is over|is higher than"
_FALLING = "falls below|is below|drops below|goes below|is under|is lower than"


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with a unit's symbol."""

    number: int
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One device does one thing under a bound and a condition (`cause`: what makes it do so, or where and when it holds)."""

    kind: str
    device: str
    deed: Deed
    bound: Bound
    amount: Amount
    cause: Event | Threshold | str
    limit: Amount | None
    method: Method

    @property
    def values(self) -> Mapping[str, Any]:
        """Everything that tells this fact from another."""
        cause = self.cause if isinstance(self.cause, str) else self.cause.noun
        return {
            "device": self.device, "deed": f"{self.deed.verb} {self.deed.rest}", "amount": str(self.amount), "cause": cause,
            "limit": str(self.limit or ""),
        }  # fmt: skip

    @property
    def sentence(self) -> str:
        """The right requirement."""
        return f"The {self.device} shall {self.deed.verb} {self.deed.rest} {self.bound_phrase} {self.condition}."

    @property
    def bound_phrase(self) -> str:
        """The bound as the right requirement writes it."""
        if self.bound in {"within", "every"}:
            return f"{self.bound} {self.amount}"
        return devices.BOUND_OF_DUTY[self.deed.verb, self.bound].format(self.amount)

    @property
    def condition(self) -> str:
        """The condition as the right requirement writes it."""
        match self.cause:
            case Event(clause=clause):
                return f"after {clause}"
            case Threshold(noun=noun, rises=rises):
                return f"after the {noun} {'exceeds' if rises else 'falls below'} {self.limit}"
            case circumstance:
                return circumstance

    def rules(self, name: str) -> list[Rule]:
        """Return the rules by which the sentence in a field is known to be right."""
        must = "must_contain_word"
        listed = [
            rule(name, "starts_with", f"The {self.device} shall "),
            rule(name, "exactly_one_shall", True),
            rule(name, "no_tbd", True),
            rule(name, must, self.deed.noun),
            rule(name, "matches", bound_pattern(self.bound, self.amount)),
        ]
        match self.cause:
            case Event(noun=noun):
                listed.append(rule(name, must, noun))
            case Threshold(noun=noun):
                listed += [rule(name, must, noun), rule(name, "matches", limit_pattern(self.cause, self.limit))]
            case circumstance:
                listed.append(rule(name, must, circumstance.split(" ", 1)[1]))
        listed += [rule(name, "max_words", 30), rule(name, "ends_with", ".")]
        return listed + [rule(name, "must_not_contain_word", vague) for vague in devices.VAGUE]


def rule(name: str, rule_name: str, value: str | int) -> Rule:
    """Return one rule of the input `rules`."""
    return {"field": name, "rule": rule_name, "value": value}


def bound_pattern(bound: Bound, amount: Amount) -> str:
    """Return a pattern for a text with this bound and this value."""
    return rf".*\b(?:{_SAME[bound]}) {re.escape(str(amount))}[ .,].*"


def limit_pattern(threshold: Threshold, limit: Amount | None) -> str:
    """Return a pattern for a text in which the quantity leaves its range on the right side of the right value."""
    return rf".*\b(?:{_RISING if threshold.rises else _FALLING}) {re.escape(str(limit))}[ .,].*"


def reaction(chance: random.Random) -> Fact:
    """Draw a reaction to an event or a threshold: its bound is a time, and a test proves it."""
    kind = chance.choice(devices.CLASSES)
    unit, *span = chance.choice(_REACTION_TIMES)
    cause: Event | Threshold
    if chance.random() < 0.5:  # noqa: PLR2004 - half of the causes are events
        cause, limit = chance.choice(devices.EVENTS["any"] + 2 * devices.EVENTS[kind]), None
    else:
        cause = chance.choice(devices.THRESHOLDS["any"] + 2 * devices.THRESHOLDS[kind])
        limit = Amount(_number(chance, cause.lowest, cause.highest, cause.step), cause.unit)
    return Fact(
        kind=kind,
        device=chance.choice(devices.DEVICES[kind]),
        deed=chance.choice(devices.REACTIONS["any"] + 3 * devices.REACTIONS[kind]),
        bound="within",
        amount=Amount(_number(chance, *(int(end) for end in span)), str(unit)),
        cause=cause,
        limit=limit,
        method="test",
    )


def duty(chance: random.Random) -> Fact:
    """Draw a duty; its method is drawn first, so that the methods are evenly met."""
    kind = chance.choice(devices.CLASSES)
    method = chance.choice(devices.METHODS)
    drawn: Duty = chance.choice([one for one in devices.DUTIES if one.method == method])
    return Fact(
        kind=kind,
        device=chance.choice(devices.DEVICES[kind]),
        deed=drawn.deed,
        bound=drawn.bound,
        amount=Amount(_number(chance, drawn.lowest, drawn.highest, drawn.step), drawn.unit),
        cause=chance.choice(drawn.circumstances),
        limit=None,
        method=method,
    )


def said(fact: Fact, chance: random.Random, phrasing: Phrasing) -> dict[str, str]:
    """Return how the parts of a fact are said: the slots of the main clauses."""
    by = wording.BOUND[fact.bound].any_drawn(chance, phrasing).format(v=_informal(fact.amount, chance))
    if isinstance(fact.cause, str) and fact.deed.verb in wording.OF_DUTY:
        by = chance.choice(wording.OF_DUTY[fact.deed.verb]).format(by=by)
    first, _, more = f"{fact.deed.verb} {fact.deed.rest}".partition(" ")
    return {
        "d": fact.device,
        "ad": f"{article(fact.device)} {fact.device}",
        "do": f"{first} {more}",
        "does": f"{third(first)} {more}",
        "doing": f"{gerund(first)} {more}",
        "by": by,
        "when": _condition(fact, chance),
    }


def said_limit(fact: Fact, chance: random.Random) -> str:
    """Return how people write the limit of a fact's threshold."""
    return _informal(fact.limit, chance) if fact.limit else ""


def article(noun: str) -> str:
    """Return `a` or `an`: by the letter's name where the noun begins with letters that are spelled (an MRI console)."""
    first = noun.split(maxsplit=1)[0].split("-", maxsplit=1)[0]
    return "an" if noun[0] in ("AEFHILMNORSX" if first.isupper() else "aeiou") else "a"


def third(verb: str) -> str:
    """Return the third person of a verb."""
    irregular = {"have": "has"}
    if verb in irregular:
        return irregular[verb]
    return (
        f"{verb}es" if verb.endswith(("s", "sh", "ch", "x")) else f"{verb[:-1]}ies" if verb[-2:] == "fy" else f"{verb}s"
    )


def gerund(verb: str) -> str:
    """Return the -ing form of a verb."""
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1]}ing" if verb.endswith("e") else f"{verb}ing"


def _condition(fact: Fact, chance: random.Random) -> str:
    connective = chance.choice(wording.CONNECTIVE)
    match fact.cause:
        case Event(clause=clause):
            return f"{connective} {clause}"
        case Threshold(noun=noun, rises=rises):
            leaves = chance.choice(wording.RISES if rises else wording.FALLS)
            return f"{connective} the {noun} {leaves} {said_limit(fact, chance)}"
        case circumstance:
            return circumstance


def _informal(amount: Amount, chance: random.Random) -> str:
    spelled = chance.choice(devices.UNITS[amount.unit])
    if amount.number <= len(_WORDS) + 1 and len(spelled) > 2 and chance.random() < 0.4:  # noqa: PLR2004 - "two seconds", not "two s"
        return f"{_WORDS[amount.number - 2]} {spelled}"
    tight = spelled == amount.unit and chance.random() < 0.3  # noqa: PLR2004 - some write "2s"
    return f"{amount.number}{'' if tight else ' '}{spelled}"


def _number(chance: random.Random, lowest: int, highest: int, step: int) -> int:
    return chance.randrange(lowest, highest + 1, step)
