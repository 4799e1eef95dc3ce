"""The documents about a fact: a requirement and a line of the risk table. How often each family comes is stated here.

A family draws a content and, later, says it: so content decides the split before it is phrased.
"""

import random

from tierproof_domains.item import Phrasing
from tierproof_domains.reg_doc_drafting import devices, facts, phrases, wording
from tierproof_domains.reg_doc_drafting.drawn import ID, TEXT, Document, Drawn, neighbours, schema_of, under_other_ids
from tierproof_domains.reg_doc_drafting.facts import Fact, rule
from tierproof_domains.reg_doc_drafting.steps import case
from tierproof_domains.reg_doc_drafting.traces import trace
from tierproof_domains.splitting import content_key

REQUIREMENT = schema_of(id=ID, text=TEXT, verification={"enum": list(devices.METHODS)})
RISK_CONTROL = schema_of(id=ID, hazard=TEXT, control=TEXT, severity={"enum": list(wording.SEVERITY)})


def draw(chance: random.Random) -> Drawn:
    """Draw a content of one family; how often each comes is stated here."""
    return chance.choices((requirement, risk_control, case, trace), weights=(54, 15, 20, 11))[0](chance)


def requirement(chance: random.Random) -> Drawn:
    """Draw a requirement: a reaction or a duty, with the method told or left to the convention."""
    fact = facts.reaction(chance) if chance.random() < 0.6 else facts.duty(chance)  # noqa: PLR2004 - a reaction is always tested
    told = chance.choice(devices.METHODS) if chance.random() < 0.3 else None  # noqa: PLR2004 - what is told goes before the convention
    number = chance.randrange(2, 1000)
    answer = {"id": f"REQ-{number}", "text": fact.sentence, "verification": told or fact.method}

    def say(chance: random.Random, phrasing: Phrasing) -> str:
        opening = phrases.OPENING["requirement"].any_drawn(chance, phrasing).format(id=answer["id"])
        parts = [opening + _clause(fact, chance, phrasing) + "."]
        if told:
            parts.append(wording.METHOD[told].any_drawn(chance, phrasing))
        return " ".join(_with_aside(parts, chance, phrasing))

    method = chance.choice([one for one in devices.METHODS if one != answer["verification"]])
    return Drawn(
        family="requirement",
        key=content_key("fact", fact.values),
        answer=answer,
        schema=REQUIREMENT,
        rules=(
            rule("id", "equals", answer["id"]),
            *fact.rules("text"),
            rule("verification", "equals", answer["verification"]),
        ),
        known=neighbours("REQ", number),
        wrong=(
            *_spoiled(answer, "text", fact, chance),
            *under_other_ids(answer, "REQ", number),
            {**answer, "verification": method},
        ),
        say=say,
    )


def risk_control(chance: random.Random) -> Drawn:
    """Draw a line of the risk table: a reaction that controls a hazard of some severity."""
    fact = facts.reaction(chance)
    hazard = chance.choice(devices.HAZARDS["any"] + 2 * devices.HAZARDS[fact.kind])
    severity = chance.choice(list(wording.SEVERITY))
    number = chance.randrange(2, 1000)
    answer = {"id": f"HAZ-{number}", "hazard": hazard, "control": fact.sentence, "severity": severity}

    def say(chance: random.Random, phrasing: Phrasing) -> str:
        opening = phrases.OPENING["risk-control"].any_drawn(chance, phrasing).format(id=answer["id"], hazard=hazard)
        parts = [
            opening + _clause(fact, chance, phrasing) + ".",
            wording.SEVERITY[severity].any_drawn(chance, phrasing).capitalize() + ".",
        ]
        return " ".join(_with_aside(parts, chance, phrasing))

    other = chance.choice([one for one in wording.SEVERITY if one != severity])
    return Drawn(
        family="risk-control",
        key=content_key("fact", fact.values),
        answer=answer,
        schema=RISK_CONTROL,
        rules=(
            rule("id", "equals", answer["id"]),
            rule("hazard", "must_contain_word", hazard),
            rule("hazard", "max_words", 6),
            *fact.rules("control"),
            rule("severity", "equals", severity),
        ),
        known=neighbours("HAZ", number),
        wrong=(
            *_spoiled(answer, "control", fact, chance),
            *under_other_ids(answer, "HAZ", number),
            {**answer, "severity": other},
        ),
        say=say,
    )


def _clause(fact: Fact, chance: random.Random, phrasing: Phrasing) -> str:
    return phrases.MAIN.drawn(chance, phrasing).format(**facts.said(fact, chance, phrasing))


def _with_aside(parts: list[str], chance: random.Random, phrasing: Phrasing) -> list[str]:
    """Add what people say besides and no requirement may say: a vague wish."""
    return [*parts, wording.ASIDE.any_drawn(chance, phrasing)] if chance.random() < 0.2 else parts  # noqa: PLR2004 - some do


def _spoiled(answer: Document, name: str, fact: Fact, chance: random.Random) -> tuple[Document, ...]:
    """Return the answer with a sentence that is vague, undecided, double, of another value, or of no device in particular."""
    right = fact.sentence
    more = fact.amount.number + chance.choice((1, 2, 5, 10))
    sentences = (
        right.replace(f" {fact.bound_phrase}", f" {chance.choice(('quickly', 'promptly'))}"),
        right.replace(str(fact.amount), "TBD", 1),
        right.replace(".", " and shall record it."),
        right.replace(fact.bound_phrase, fact.bound_phrase.replace(str(fact.amount), f"{more} {fact.amount.unit}")),
        right.replace(f"The {fact.device} ", "The device "),
        right.replace(" shall ", " should "),
    )
    return tuple({**answer, name: sentence} for sentence in sentences)
