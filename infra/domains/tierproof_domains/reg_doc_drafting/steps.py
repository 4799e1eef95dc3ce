"""Family `test-case`: one action that brings a fact about, and what is expected of the device."""

import random

from tierproof_domains.item import Phrasing
from tierproof_domains.reg_doc_drafting import devices, facts, phrases
from tierproof_domains.reg_doc_drafting.devices import Event, Threshold
from tierproof_domains.reg_doc_drafting.drawn import ID, TEXT, Drawn, neighbours, numbers, schema_of, under_other_ids
from tierproof_domains.reg_doc_drafting.facts import Fact, Rule, rule
from tierproof_domains.splitting import content_key

TEST_CASE = schema_of(id=ID, verifies=ID, action=TEXT, expected=TEXT)


def case(chance: random.Random) -> Drawn:
    """Draw a test case of a reaction: its cause is the action, and the reaction is expected."""
    fact = facts.reaction(chance)
    number, requirement = numbers(chance, 2)
    outcome = f"The {fact.device} {facts.third(fact.deed.verb.split()[0])} {_after_first(fact)} {fact.bound_phrase}."
    answer = {"id": f"TC-{number}", "verifies": f"REQ-{requirement}", "action": _action(fact), "expected": outcome}

    def say(chance: random.Random, phrasing: Phrasing) -> str:
        opening = (
            phrases.OPENING["test-case"].any_drawn(chance, phrasing).format(id=answer["id"], req=answer["verifies"])
        )
        slots = facts.said(fact, chance, phrasing) | {"trigger": _trigger(fact, chance, phrasing)}
        return opening + phrases.OUTCOME.drawn(chance, phrasing).format(**slots) + "."

    neighbour = {**answer, "verifies": f"REQ-{requirement + 1}"}
    swapped = {**answer, "action": outcome, "expected": answer["action"]}
    modal = {**answer, "expected": f"The {fact.device} should {fact.deed.verb} {fact.deed.rest} {fact.bound_phrase}."}
    late = {**answer, "expected": outcome.replace(f" {fact.bound_phrase}", " quickly")}
    return Drawn(
        family="test-case",
        key=content_key("fact", fact.values),
        answer=answer,
        schema=TEST_CASE,
        rules=(
            rule("id", "equals", answer["id"]),
            rule("verifies", "equals", answer["verifies"]),
            *_action_rules(fact),
            *_expected_rules(fact),
        ),
        known=(*neighbours("TC", number), *neighbours("REQ", requirement)),
        wrong=(neighbour, swapped, modal, late, *under_other_ids(answer, "TC", number)),
        say=say,
    )


def _action(fact: Fact) -> str:
    match fact.cause:
        case Event(thing=thing):
            return f"Simulate {thing}."
        case Threshold(noun=noun, rises=True):
            return f"Raise the {noun} above {fact.limit}."
        case Threshold(noun=noun):
            return f"Lower the {noun} below {fact.limit}."
        case circumstance:
            raise AssertionError(f"a reaction has an event or a threshold, not {circumstance}")


def _action_rules(fact: Fact) -> list[Rule]:
    listed = [rule("action", "matches", "[A-Z].*\\."), rule("action", "max_words", 12)]
    if isinstance(fact.cause, Event | Threshold):
        listed.append(rule("action", "must_contain_word", fact.cause.noun))
    if isinstance(fact.cause, Threshold):
        beyond = "above|over|beyond|to more than" if fact.cause.rises else "below|under|to less than"
        listed.append(rule("action", "matches", rf".*\b(?:{beyond}) {fact.limit}\."))
    return [*listed, *(rule("action", "must_not_contain_word", word) for word in ("shall", "should", "must"))]


def _expected_rules(fact: Fact) -> list[Rule]:
    does = facts.third(fact.deed.verb.split()[0])
    return [
        rule("expected", "starts_with", f"The {fact.device} {does} "),
        rule("expected", "must_contain_word", fact.deed.noun),
        rule("expected", "matches", facts.bound_pattern(fact.bound, fact.amount)),
        *(rule("expected", "must_not_contain_word", word) for word in ("shall", "should", "must", *devices.VAGUE)),
        rule("expected", "max_words", 20),
    ]


def _after_first(fact: Fact) -> str:
    return f"{fact.deed.verb} {fact.deed.rest}".partition(" ")[2]


def _trigger(fact: Fact, chance: random.Random, phrasing: Phrasing) -> str:
    if isinstance(fact.cause, Event):
        return phrases.TRIGGER_EVENT.any_drawn(chance, phrasing).format(thing=fact.cause.thing)
    rises = isinstance(fact.cause, Threshold) and fact.cause.rises
    noun = fact.cause.noun if isinstance(fact.cause, Threshold) else ""
    bank = phrases.TRIGGER_RISE if rises else phrases.TRIGGER_FALL
    return bank.any_drawn(chance, phrasing).format(noun=noun, v=facts.said_limit(fact, chance))
