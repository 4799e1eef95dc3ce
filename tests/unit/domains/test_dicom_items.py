"""DICOM questions: facts of the dictionary, split by attribute, and a judgement of their learnable part."""

import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from tierproof_domains import dicom_adjacent
from tierproof_domains.dicom_adjacent import dictionary, phrases
from tierproof_domains.item import SPLITS
from tierproof_domains.splitting import Bank

pytestmark = pytest.mark.requirement("S5-domains")

TRAIN = list(dicom_adjacent.items("train", most=600))
SEALED = list(dicom_adjacent.items("sealed", most=300))


def test_every_answer_is_right_and_every_rejected_one_is_wrong() -> None:
    for item in [*TRAIN, *SEALED]:
        assert dicom_adjacent.check(item, item.answer) == []
        assert len(item.rejected) == dicom_adjacent.MOST_REJECTED
        assert all(dicom_adjacent.check(item, wrong) for wrong in item.rejected)


def test_the_same_seed_gives_the_same_items_each_prompt_once() -> None:
    assert list(dicom_adjacent.items("train", most=40)) == TRAIN[:40]
    assert len({item.prompt for item in TRAIN}) == len(TRAIN)


def test_an_attribute_of_one_split_is_named_in_no_other() -> None:
    owners = Counter(one.keyword for split in SPLITS for one in dictionary.of_split(split))
    assert set(owners.values()) == {1}
    sealed = {one.keyword for one in dictionary.of_split("sealed")}
    for item in TRAIN:
        assert not sealed & set(
            re.findall(r"\w+", item.prompt + item.inputs["question"] + item.inputs.get("deidentification", ""))
        )


def test_half_of_the_sealed_are_asked_as_no_training_item_is(monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []
    draw = Bank.drawn

    def watched(bank: Bank, chance: random.Random, phrasing: Any) -> str:
        questions.append(draw(bank, chance, phrasing))
        return questions[-1]

    monkeypatch.setattr(Bank, "drawn", watched)
    for item in dicom_adjacent.items("sealed", most=100):
        assert (questions[-1] in phrases.QUESTION.unseen) == (item.phrasing == "unseen")
    questions.clear()
    assert {item.phrasing for item in dicom_adjacent.items("train", most=100)} == {"seen"}
    assert set(questions) <= set(phrases.QUESTION.seen)
    assert abs(sum(item.phrasing == "unseen" for item in SEALED) - len(SEALED) / 2) <= 1


def test_the_last_word_tells_most_of_what_is_asked_by_name_but_not_all() -> None:
    seen: dict[str, Counter[str]] = {}
    for one in dictionary.telling("train"):
        seen.setdefault(one.last_word, Counter())[one.vr] += 1
    asked = [*dictionary.telling("sealed"), *dictionary.telling("validation")]
    right = sum(one.last_word in seen and seen[one.last_word].most_common(1)[0][0] == one.vr for one in asked)
    assert 0.8 < right / len(asked) < 1
    assert {"Date", "UID", "Flag"} <= seen.keys()


def test_what_is_read_stands_in_the_prompt() -> None:
    for item in SEALED:
        if item.family == "read-row":
            facts = json.loads(item.answer)
            shown = item.prompt.upper()
            for name, fact in facts.items():
                bare = fact.strip("()").upper()
                assert bare in shown or (name == "tag" and bare.replace(",", "") in shown)


def test_the_profile_of_the_prompt_goes_with_the_task() -> None:
    for item in SEALED:
        assert ("deidentification" in item.inputs) == (item.family == "action-of-profile")
        if item.family == "action-of-profile":
            question = json.loads(item.inputs["question"])
            actions = json.loads(item.inputs["deidentification"])["actions"]
            assert json.loads(item.answer) == {"action": actions[question["attribute"]]}
            assert all(keyword in item.prompt for keyword in actions)


@pytest.mark.parametrize("answer", ["", "[]", "{}", "UI", '{"vr": 3}'])
def test_what_is_no_answer_is_wrong(answer: str) -> None:
    item = next(item for item in TRAIN if item.family == "vr-by-name")
    assert dicom_adjacent.check(item, answer)
