"""Firmware C: what an item promises before any compiler sees it."""

import itertools
import json
import random
import re
from pathlib import Path

import pytest
from tierproof_contracts.documents import KindPolicy
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import Finding
from tierproof_domains.embedded_fw_c import FAMILIES, KIND, generating, items
from tierproof_domains.embedded_fw_c.compiling import plain
from tierproof_domains.embedded_fw_c.faults import returned
from tierproof_domains.embedded_fw_c.generating import Made, made
from tierproof_domains.embedded_fw_c.names import FRAMES, name_of
from tierproof_domains.embedded_fw_c.skill import Family, converted, defined, prototype, signature
from tierproof_domains.embedded_fw_c.vectors import vectors_of
from tierproof_domains.item import SPLITS, Item
from tierproof_router.prompts import compose
from tierproof_verifier.checks.c_signature import signature_from

pytestmark = pytest.mark.requirement("S5-domains")

FLEET = Path(__file__).parents[3] / "infra/fleet/routing-policy.json"
POLICY = KindPolicy.model_validate_json(json.dumps(json.loads(FLEET.read_text())["kinds"][KIND]))
MADE = {split: list(made(split, most=490)) for split in SPLITS}
OF_FAMILY = {family.slug: family for family in FAMILIES}
EVERY = list(itertools.chain.from_iterable(MADE.values()))
MOST_TOKENS = 150  # of prompt and answer, first attempts
MOST_MEAN = 90
_TOKEN = re.compile(r"[A-Za-z]+|\d|\n *|[^\w\s]+|_")  # near the model's tokenizer, which takes digits one by one


def tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


def content(item: Item) -> tuple[str, str]:
    return item.inputs["signature"], item.answer


def core_of(each: Made) -> str:
    """Return the main clause of a prompt: the longest that fits."""
    said = each.item.prompt.split("\n\n")[0].lower()
    fitting = [
        core for core in OF_FAMILY[each.item.family].cores.phrases if core.format(**each.case.words).lower() in said
    ]
    return max(fitting, key=len)


def test_there_are_many_skills_with_many_ways_of_asking() -> None:
    assert len(FAMILIES) >= 30
    assert len(OF_FAMILY) == len(FAMILIES)
    for family in FAMILIES:
        assert len(family.cores.phrases) >= 12, family.slug
        assert len(family.cores.seen) * len(FRAMES.seen) >= 40
        assert len(family.verbs) >= 4


def test_the_same_seed_gives_the_same_items_and_another_seed_others() -> None:
    again = list(items("train", most=80))
    assert again == [each.item for each in MADE["train"][:80]]
    assert not {item.id for item in again} & {item.id for item in items("train", seed=2, most=80)}


def test_a_split_has_as_many_items_as_asked_for_and_no_two_alike() -> None:
    for split, them in MADE.items():
        assert len(them) == 490
        assert len({each.item.id for each in them}) == 490
        assert {each.item.split for each in them} == {split}
        assert {each.item.family for each in them} == set(OF_FAMILY)


@pytest.mark.requirement("A2")
def test_no_content_is_in_two_splits() -> None:
    for one, other in itertools.combinations(SPLITS, 2):
        assert not {content(each.item) for each in MADE[one]} & {content(each.item) for each in MADE[other]}


def test_there_are_more_than_twenty_thousand_contents() -> None:
    chance = random.Random("contents")
    drawn = set()
    for family in itertools.islice(itertools.cycle(FAMILIES), 24_000):
        case, name = family.make(chance), name_of(chance, family.verbs)
        drawn.add(hash((signature(name, case), case.right.body)))
    assert len(drawn) > 20_000


def test_training_never_meets_an_unseen_main_clause_nor_frame() -> None:
    for each in [*MADE["train"], *MADE["validation"]]:
        assert each.item.phrasing == "seen"
        assert core_of(each) in OF_FAMILY[each.item.family].cores.seen
    whole = [frame.format(proto="P", core="C") for frame in FRAMES.unseen]
    for each in MADE["train"]:
        case = each.case.words | {"proto": prototype(each.name, each.case)}
        said = each.item.prompt.split("\n\n")[0].replace(case["proto"], "P")
        core = core_of(each).format(**case).replace(case["proto"], "P")
        framed = re.sub(re.escape(core), "C", said, flags=re.IGNORECASE)
        assert framed not in whole


def test_half_of_the_sealed_items_have_an_unseen_main_clause() -> None:
    count = {"seen": 0, "unseen": 0}
    for each in MADE["sealed"]:
        count[each.item.phrasing] += 1
        cores = OF_FAMILY[each.item.family].cores
        assert core_of(each) in (cores.seen if each.item.phrasing == "seen" else cores.unseen)
    assert abs(count["seen"] - count["unseen"]) <= 2


def test_each_family_is_sealed_with_both_phrasings() -> None:
    both = {(each.item.family, each.item.phrasing) for each in MADE["sealed"]}
    assert len(both) == 2 * len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.slug)
def test_each_main_clause_can_be_said_of_each_case(family: Family) -> None:
    chance = random.Random(family.slug)
    for core in family.cores.phrases:
        said = core.format(**family.make(chance).words)
        assert "{" not in said
        assert not said.endswith(".")
        assert said[0].islower() or core.startswith("{")


def test_a_prompt_holds_the_prototype_and_an_answer_begins_with_it() -> None:
    for each in EVERY:
        declared = prototype(each.name, each.case)
        assert declared in each.item.prompt
        assert each.item.answer.startswith(f"{declared} {{\n    ")
        assert signature_from(each.item.inputs["signature"]).prototype() == declared


def test_answers_are_plain_functions_in_one_style() -> None:
    for each in EVERY:
        answer, declared = each.item.answer, prototype(each.name, each.case)
        for source in (answer, each.item.inputs["reference"], *each.item.rejected):
            assert plain(source, declared), source
        assert not re.search(r"//|/\*|#|\t|`", answer)
        assert answer.endswith("}")


def test_references_are_written_in_another_way_than_answers() -> None:
    same = [each.item.family for each in EVERY if each.item.answer == each.item.inputs["reference"]]
    assert same == []


def test_each_item_has_wrong_answers_that_its_oracle_refutes() -> None:
    for each in MADE["sealed"]:
        assert each.item.rejected
        assert each.item.answer not in each.item.rejected
        right = [returned(each.case, each.case.right.oracle, vector) for vector in vectors_of(each.case)]
        for form in each.case.wrong:
            if defined(each.name, each.case, form.body) in each.item.rejected:
                assert right != [returned(each.case, form.oracle, vector) for vector in vectors_of(each.case)]


def test_prompts_and_answers_are_short() -> None:
    first = [each.item for each in EVERY if not each.item.repair_of]
    lengths = [tokens(item.prompt) + tokens(item.answer) for item in first]
    assert max(lengths) <= MOST_TOKENS
    assert sum(lengths) / len(lengths) <= MOST_MEAN


def test_about_eight_of_a_hundred_training_items_are_repairs_and_no_others() -> None:
    repairs = sum(bool(each.item.repair_of) for each in MADE["train"])
    assert 0.05 < repairs / len(MADE["train"]) < 0.11
    assert not [each for split in SPLITS[1:] for each in MADE[split] if each.item.repair_of]


def test_a_repair_reads_as_the_router_would_write_it() -> None:
    known = {each.item.id: each.item for each in MADE["train"]}
    repairs = [each.item for each in MADE["train"] if each.item.repair_of]
    for repair in repairs:
        first = known[repair.repair_of]
        told = repair.prompt.split(f"{generating.REPAIR_INSTRUCTIONS}\n- ")[1]
        where, note = told.split(": ", 1) if not told.startswith(": ") else ("", told[2:])
        task = TaskSubmittedV1(
            tenant="t", task_id=f"t_{first.id}", kind=KIND, safety_class="A", actor="a",
            prompt=Text(text=first.prompt, salt="00" * 16),
            inputs={name: Text(text=text, salt="00" * 16) for name, text in first.inputs.items()},
        )  # fmt: skip
        assert compose(task, POLICY, [Finding(code="c", where=where, note=note)], "1").text == repair.prompt
        assert (repair.answer, repair.inputs) == (first.answer, first.inputs)


def test_a_first_prompt_reaches_the_model_as_it_is() -> None:
    item = MADE["sealed"][0].item
    task = TaskSubmittedV1(
        tenant="t", task_id=f"t_{item.id}", kind=KIND, safety_class="A", actor="a",
        prompt=Text(text=item.prompt, salt="00" * 16),
        inputs={name: Text(text=text, salt="00" * 16) for name, text in item.inputs.items()},
    )  # fmt: skip
    assert compose(task, POLICY, [], "1").text == item.prompt
    assert set(item.inputs) == set(POLICY.required_inputs)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [(256, "uint8_t", 0), (-1, "uint8_t", 255), (128, "int8_t", -128), (-129, "int8_t", 127), (4, "bool", 1), (2**32, "uint32_t", 0)],
)  # fmt: skip
def test_values_are_converted_as_in_c(value: int, kind: str, expected: int) -> None:
    assert converted(value, kind) == expected


@pytest.mark.parametrize(
    ("source", "wrong_with_it"),
    [
        ("int f(int x) {\n    return abs(x);\n}", "calls"),
        ("int f(int x) {\n    return x;\n}\nint y;", "says more"),
        ("#define A\nint f(int x) {\n    return x;\n}", "has lines for the preprocessor"),
        ("int g(int x) {\n    return x;\n}", "has another name"),
        ('int f(int x) {\n    "s";\n    return x;\n}', "has a string"),
        ("int f(int x) {\n    return x;\n", "is cut off"),
    ],
)
def test_what_is_not_plain_never_runs(source: str, wrong_with_it: str) -> None:
    assert not plain(source, "int f(int x)"), wrong_with_it
    assert plain("int f(int x) {\n    if (x) { return 1; }\n    return (x);\n}", "int f(int x)")
