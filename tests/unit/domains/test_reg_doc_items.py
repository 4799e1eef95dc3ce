"""Regulatory drafting: what an item promises, and that its rules tell right from wrong."""

import itertools
import json
import random
from typing import Any

import pytest
from tierproof_domains import reg_doc_drafting
from tierproof_domains.item import Item
from tierproof_domains.reg_doc_drafting import devices, facts, families, phrases
from tierproof_domains.splitting import Bank

pytestmark = pytest.mark.requirement("S5-domains")

TRAIN = list(reg_doc_drafting.items("train", most=600))
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
SEALED = list(reg_doc_drafting.items("sealed", most=200))


def first(family: str) -> Item:
    return next(item for item in TRAIN if item.family == family and not item.repair_of)


def sentence_of(item: Item) -> str:
    answer = json.loads(item.answer)
    return str(answer.get("text") or answer.get("control") or item.answer)


def changed(item: Item, **members: object) -> str:
    return json.dumps({**json.loads(item.answer), **members})


def test_every_answer_is_right_and_every_rejected_one_is_wrong() -> None:
    for item in [*TRAIN, *SEALED]:
        assert reg_doc_drafting.check(item, item.answer) == []
        assert len(item.rejected) == reg_doc_drafting.MOST_REJECTED
        for wrong in item.rejected:
            assert reg_doc_drafting.check(item, wrong), (item.prompt, wrong)


def test_all_four_documents_come_with_one_schema_each() -> None:
    schemas = {(item.family, item.inputs["schema"]) for item in [*TRAIN, *SEALED]}
    assert sorted(family for family, _ in schemas) == ["requirement", "risk-control", "test-case", "trace"]
    for item in TRAIN:
        assert list(json.loads(item.answer)) == json.loads(item.inputs["schema"])["required"]
        assert set(item.inputs) == {"schema", "rules", "requirements", "pattern"}


def test_the_same_seed_gives_the_same_items_and_another_seed_others() -> None:
    again = list(reg_doc_drafting.items("train", most=50))
    assert again == TRAIN[:50]
    assert not {item.id for item in again} & {item.id for item in reg_doc_drafting.items("train", seed=2, most=50)}


def test_no_fact_is_in_two_splits() -> None:
    validation = list(reg_doc_drafting.items("validation", most=200))
    for one, other in itertools.combinations((TRAIN, validation, SEALED), 2):
        assert not {sentence_of(item) for item in one} & {sentence_of(item) for item in other}


def test_an_answer_fits_no_other_item() -> None:
    for item, other in itertools.pairwise(item for item in TRAIN if not item.repair_of):
        assert reg_doc_drafting.check(item, other.answer)


def test_half_of_the_sealed_have_a_main_clause_that_no_training_item_has(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, Bank]] = []
    draw = Bank.drawn

    def watched(bank: Bank, chance: random.Random, phrasing: Any) -> str:
        phrase = draw(bank, chance, phrasing)
        drawn.append((phrase, bank))
        return phrase

    monkeypatch.setattr(Bank, "drawn", watched)
    for item in reg_doc_drafting.items("sealed", most=100):
        phrase, bank = drawn.pop()
        assert phrase in (bank.seen if item.phrasing == "seen" else bank.unseen)
    drawn.clear()
    assert all(item.phrasing == "seen" for item in reg_doc_drafting.items("train", most=100))
    assert all(phrase in bank.seen for phrase, bank in drawn)
    assert sum(item.phrasing == "unseen" for item in SEALED) == len(SEALED) / 2


def test_banks_are_large() -> None:
    for bank in (phrases.MAIN, phrases.OUTCOME, phrases.TRACE):
        assert len(bank.seen) >= 12
    for opening in phrases.OPENING.values():
        assert len(opening.seen) * len(phrases.OUTCOME.seen) >= 40
    assert sum(len(named) for named in devices.DEVICES.values()) >= 40


def test_repairs_follow_what_they_repair_and_are_about_8_percent() -> None:
    known = {item.id: item for item in TRAIN}
    repairs = [item for item in TRAIN if item.repair_of]
    assert 0.05 < len(repairs) / len(TRAIN) < 0.11
    for repair in repairs:
        repaired = known[repair.repair_of]
        assert repair.prompt.startswith(f"{repaired.prompt}\n\n{reg_doc_drafting.REPAIR_INSTRUCTIONS}\n- /")
        assert repair.answer == repaired.answer
    assert not any(item.repair_of for item in SEALED)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("{s} It shall record it.", "has the word `shall` 2 times"),
        ("The device shall be safe.", "must start with `The "),
        ("{s} TBD", "leaves something undecided"),
        ("{s} quickly.", "must not contain the word `quickly`"),
        ("{s} and so on", "must end with `.`"),
        ("{s} more" + " words" * 30 + ".", "at most 30 are allowed"),
        ("{other}", "must match `.*"),
    ],
)
def test_a_rule_bites(broken: str, told: str) -> None:
    item = first("requirement")
    sentence = json.loads(item.answer)["text"]
    number = next(word for word in sentence.split() if word.isdigit())
    text = broken.format(s=sentence, other=sentence.replace(f" {number} ", f" {int(number) + 1} ", 1))
    assert any(told in fault for fault in reg_doc_drafting.check(item, changed(item, text=text)))


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"verification": "trust"}, "/verification: must satisfy enum"),
        ({"id": "REQ-4711"}, "/id: names 1 requirement(s) that do not exist"),
        ({"text": 7}, "/text: must satisfy type"),
        ({"note": "more"}, "has a property that the schema does not allow"),
        ({"id": "R"}, "/id: must satisfy minLength 4"),
    ],
)
def test_the_schema_and_the_ids_bite(members: dict[str, object], told: str) -> None:
    item = first("requirement")
    assert any(told in fault for fault in reg_doc_drafting.check(item, changed(item, **members)))


def test_a_trace_has_the_ids_in_their_order_and_no_other() -> None:
    item = next(item for item in TRAIN if item.family == "trace" and len(json.loads(item.answer)["satisfies"]) > 1)
    ids = json.loads(item.answer)["satisfies"]
    for wrong in (ids[::-1], ids[:-1], [*ids, ids[0]], [*ids, json.loads(item.answer)["verified_by"][0]]):
        assert reg_doc_drafting.check(item, changed(item, satisfies=wrong))


@pytest.mark.parametrize("answer", ["", "[]", "no", '{"id": "REQ-1"}'])
def test_what_is_no_document_is_wrong(answer: str) -> None:
    assert reg_doc_drafting.check(first("requirement"), answer)


def test_another_way_of_writing_the_same_bound_is_right() -> None:
    item = next(item for item in TRAIN if item.family == "requirement" and " within " in item.answer)
    sentence = json.loads(item.answer)["text"]
    assert reg_doc_drafting.check(item, changed(item, text=sentence.replace(" within ", " no later than "))) == []
    assert reg_doc_drafting.check(item, changed(item, text=sentence.replace(" within ", " at least ")))


@pytest.mark.parametrize(
    ("verb", "does", "doing"),
    [
        ("stop", "stops", "stopping"),
        ("have", "has", "having"),
        ("flash", "flashes", "flashing"),
        ("notify", "notifies", "notifying"),
        ("let", "lets", "letting"),
        ("switch", "switches", "switching"),
    ],
)
def test_verbs_are_inflected(verb: str, does: str, doing: str) -> None:
    assert (facts.third(verb), facts.gerund(verb)) == (does, doing)


@pytest.mark.parametrize(
    ("noun", "article"),
    [
        ("MRI console", "an"),
        ("CT scanner", "a"),
        ("ultrasound scanner", "an"),
        ("X-ray generator", "an"),
        ("PET scanner", "a"),
        ("infusion pump", "an"),
    ],
)
def test_devices_have_their_article(noun: str, article: str) -> None:
    assert facts.article(noun) == article


def test_no_right_sentence_holds_a_vague_word_or_is_too_long() -> None:
    chance = random.Random(5)
    for _ in range(500):
        for fact in (facts.reaction(chance), facts.duty(chance)):
            assert not any(f" {vague} " in fact.sentence for vague in devices.VAGUE)
            assert len(fact.sentence) < 180


def test_what_people_say_holds_every_value_of_the_answer() -> None:
    chance = random.Random(6)
    words = dict(zip(range(2, 13), NUMBERS, strict=True))
    for _ in range(300):
        drawn = families.draw(chance)
        prompt = drawn.say(chance, "unseen")
        for number in (int(word) for word in json.dumps(drawn.answer).replace('"', " ").split() if word.isdigit()):
            assert str(number) in prompt or words[number] in prompt
