"""An item is its content; content and phrasings are split by their hashes alone."""

import collections
import dataclasses
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_domains.item import Item, item_from
from tierproof_domains.repairing import Fault, composed
from tierproof_domains.splitting import Bank, content_key, draws, split_of

pytestmark = pytest.mark.requirement("S5-domains")

ITEM = Item(
    kind="embedded-fw-c", split="train", phrasing="seen", family="f", prompt="Größer?", inputs={"b": "1", "a": "2"},
    answer="x", rejected=("y", "z"),
)  # fmt: skip


def test_a_line_gives_back_its_item() -> None:
    assert item_from(ITEM.as_line()) == ITEM
    assert ITEM.as_line().startswith('{"answer":"x","family":"f","id":"')
    assert "\n" not in ITEM.as_line()
    assert "Größer" in ITEM.as_line()


@pytest.mark.parametrize(
    "change", [{"answer": "y"}, {"prompt": "p"}, {"rejected": ["z", "y"]}, {"split": "sealed"}, {"repair_of": "a"}]
)
def test_a_changed_line_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="changed after it was made"):
        item_from(json.dumps({**json.loads(ITEM.as_line()), **change}))


@pytest.mark.parametrize("line", ["", "[]", "1", "{}", '{"rejected": "ab"}', '{"rejected": [], "more": 1}'])
def test_a_line_of_another_shape_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        item_from(line)


def test_the_order_of_inputs_makes_no_other_item() -> None:
    assert dataclasses.replace(ITEM, id="", inputs={"a": "2", "b": "1"}).id == ITEM.id
    assert dataclasses.replace(ITEM, id="", inputs={"a": "2"}).id != ITEM.id


def test_of_twenty_contents_eighteen_are_for_training() -> None:
    count = collections.Counter(split_of(content_key("f", {"n": number})) for number in range(20_000))
    assert 17_700 < count["train"] < 18_300
    assert 850 < count["validation"] < 1_150
    assert 850 < count["sealed"] < 1_150


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_values_does_not_move_a_content(values: dict[str, int]) -> None:
    turned = dict(reversed(values.items()))
    assert content_key("f", values) == content_key("f", turned)
    assert split_of(content_key("f", values)) == split_of(content_key("f", turned))


@given(st.sets(st.text(min_size=1), min_size=2, max_size=40))
def test_a_quarter_of_a_bank_is_unseen_whatever_its_order(phrases: set[str]) -> None:
    bank, turned = Bank(tuple(sorted(phrases))), Bank(tuple(sorted(phrases, reverse=True)))
    assert set(bank.unseen) == set(turned.unseen)
    assert set(bank.seen) | set(bank.unseen) == phrases
    assert not set(bank.seen) & set(bank.unseen)
    assert len(bank.unseen) == max(1, len(phrases) // 4)


def test_a_bank_of_one_is_seen() -> None:
    assert Bank(("only",)).unseen == ()


@pytest.mark.parametrize("phrases", [(), ("same", "same")])
def test_a_bank_without_a_choice_is_refused(phrases: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="different phrases"):
        Bank(phrases)


def test_every_other_sealed_draw_is_unseen_and_no_other() -> None:
    drawn = [phrasing for _, phrasing in itertools.islice(draws("d", "sealed", 1), 6)]
    assert drawn == ["seen", "unseen"] * 3
    for split in ("train", "validation"):
        assert {phrasing for _, phrasing in itertools.islice(draws("d", split, 1), 50)} == {"seen"}


def test_a_draw_depends_on_domain_split_seed_and_number_alone() -> None:
    def numbers(domain: str, seed: int) -> list[float]:
        return [chance.random() for chance, _ in itertools.islice(draws(domain, "train", seed), 3)]

    assert numbers("d", 1) == numbers("d", 1)
    assert len({*numbers("d", 1), *numbers("d", 2), *numbers("e", 1)}) == 9


def test_a_repair_lists_faults_after_the_task() -> None:
    faults = [Fault("x=1", "wrong"), Fault("", "unread")]
    assert composed("Do.", "Refused:", faults) == "Do.\n\nRefused:\n- x=1: wrong\n- : unread"
    assert composed("Do.", "Refused:", []) == "Do."
    assert composed("Do.", "Refused:", [], instructions="You are.") == "You are.\n\nDo."
