"""Triage: labels follow from what a request says, topics and phrases of an examination are never trained on."""

import hashlib
import json
import random
import re
from collections import Counter

import pytest
from tierproof_domains.item import SPLITS, Item
from tierproof_domains.splitting import Bank
from tierproof_domains.triage import LABELS, check, clauses, elsewhere, harms, items, references
from tierproof_domains.triage.grammar import Grammar

BANKS = {name: bank for name, bank in vars(clauses).items() if isinstance(bank, Bank)}
GRAMMARS = {
    name: said for each in (harms, references) for name, said in vars(each).items() if isinstance(said, Grammar)
}
SENTENCES = 2000  # of each grammar
EXAMINATION = (
    "4f43ef731dd243160cb9ebf6f8d25136c7ee2073221e565b620d62193f18244f"  # of the 600 items behind triage-1.sealed
)
TOPICS = [topic for topics in elsewhere.TOPICS.values() for topic in topics]


@pytest.fixture(scope="module")
def made() -> dict[str, list[Item]]:
    return {split: list(items(split, most=400)) for split in SPLITS}


def test_every_label_and_class_occurs(made: dict[str, list[Item]]) -> None:
    said = Counter((name, label) for item in made["train"] for name, label in json.loads(item.answer).items())
    wanted = {(name, label) for name, labels in LABELS.items() for label in labels}
    assert set(said) == wanted
    assert min(said.values()) > 30


def test_no_prompt_and_no_topic_is_in_two_splits(made: dict[str, list[Item]]) -> None:
    for one, other in (("train", "validation"), ("train", "sealed"), ("validation", "sealed")):
        assert not {item.prompt for item in made[one]} & {item.prompt for item in made[other]}
    splits = Counter(elsewhere.split_of_topic(topic) for topic in TOPICS)
    assert min(splits[split] for split in SPLITS) > 8


def test_training_says_no_unseen_clause_and_an_unseen_item_says_only_such(made: dict[str, list[Item]]) -> None:
    unseen = [phrase for bank in BANKS.values() for phrase in bank.unseen]
    seen = [phrase for name, bank in BANKS.items() if name != "OPENING" for phrase in bank.seen]
    assert not [item for item in made["train"] if any(phrase in item.prompt for phrase in unseen)]
    asked = [item for item in made["sealed"] if item.phrasing == "unseen"]
    assert asked
    assert not [item for item in asked if any(phrase in item.prompt for phrase in seen)]


def test_labels_are_those_of_the_clauses(made: dict[str, list[Item]]) -> None:
    for item in made["sealed"]:
        labels = json.loads(item.answer)
        if labels["out_of_domain"] == "no":
            serious = any(phrase in item.prompt for phrase in clauses.SERIOUS.phrases)
            assert (labels["risk"] == "C") == serious
            assert (labels["modality"] == "image") == any(phrase in item.prompt for phrase in clauses.PICTURE.phrases)
            assert (labels["retrieval"] == "yes") == any(phrase in item.prompt for phrase in clauses.LOOK_UP.phrases)


def test_the_examination_asks_what_it_asked_when_it_was_sealed() -> None:
    lines = "".join(item.as_line() + "\n" for item in items("sealed", most=600))
    assert hashlib.sha256(lines.encode()).hexdigest() == EXAMINATION


@pytest.mark.parametrize("name", GRAMMARS)
def test_what_training_hears_beside_the_banks_comes_near_no_held_out_phrase(name: str) -> None:
    chance = random.Random(name)
    heard = {GRAMMARS[name].drawn(chance) for _ in range(SENTENCES)}
    assert len(heard) > 100
    assert not [sentence for sentence in heard if "{" in sentence or not sentence[0].isupper()]
    held_out = [words_of(phrase) for name, bank in BANKS.items() if name != "OPENING" for phrase in bank.unseen]
    for words in map(words_of, heard):
        for phrase in held_out:
            assert len(set(words) & set(phrase)) < len(set(words) | set(phrase)) / 2
            assert not fours_of(words) & fours_of(phrase)


def test_training_hears_the_grammars_and_an_examination_never_does(made: dict[str, list[Item]]) -> None:
    known = [phrase for bank in BANKS.values() for phrase in bank.phrases]
    silent = {"train": 0, "sealed": 0}
    for split in silent:
        for item in made[split]:
            labels = json.loads(item.answer)
            says_more = labels.get("risk") in {"B", "C"} or labels.get("retrieval") == "yes"
            silent[split] += says_more and not any(phrase in item.prompt for phrase in known)
    assert silent["sealed"] == 0
    assert silent["train"] > 20


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def fours_of(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + 4]) for at in range(len(words) - 3)}


def test_banks_share_no_phrase() -> None:
    phrases = [phrase for bank in BANKS.values() for phrase in bank.phrases]
    assert len(phrases) == len(set(phrases))


def test_the_check_finds_a_wrong_label_and_asks_nothing_more_of_what_is_elsewhere(made: dict[str, list[Item]]) -> None:
    inside, outside = (
        next(item for item in made["train"] if f'"out_of_domain":"{said}"' in item.answer) for said in ("no", "yes")
    )
    assert check(inside, inside.answer) == []
    wrong = json.loads(inside.answer) | {"risk": "none"}
    assert check(inside, json.dumps(wrong)) == ["/risk: is missing or wrong"]
    assert check(outside, '{"out_of_domain":"yes","kind":"whatever"}') == []
    assert check(outside, "[]") == ["the JSON value must be an object"]
    assert check(outside, "no JSON") == ["the text is not JSON"]
