"""The verifier judges documents and DICOM answers as their domains do; a repair reads as the router would write it."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tierproof_contracts.documents import KindPolicy
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import Finding
from tierproof_domains import dicom_adjacent, reg_doc_drafting
from tierproof_domains.item import SPLITS, Item
from tierproof_router.prompts import compose
from tierproof_verifier.errors import SandboxRefused
from tierproof_verifier.findings import Assessment
from tierproof_verifier.kinds import check_for
from tierproof_verifier.settings import VerifierSettings

pytestmark = pytest.mark.requirement("S5-domains")

EACH = 150  # items of each split
FLEET = Path(__file__).parents[3] / "infra/fleet/routing-policy.json"
SETTINGS = VerifierSettings()
NO_BENCH = SandboxRefused("no code runs here")


async def judged(item: Item, answer: str) -> Assessment:
    return await check_for(item.kind, item.inputs, seed="", settings=SETTINGS, bench=NO_BENCH)(answer)


def told(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{found.where}: {found.note}" for found in findings]


def documents() -> Iterator[Item]:
    return itertools.chain.from_iterable(reg_doc_drafting.items(split, most=EACH) for split in SPLITS)


async def test_documents_are_judged_alike_and_with_the_same_findings() -> None:
    for item in documents():
        assert (await judged(item, item.answer)).passed, item.prompt
        for wrong in item.rejected:
            assessment = await judged(item, wrong)
            assert not assessment.passed, (item.prompt, wrong)
            assert told(assessment.findings) == reg_doc_drafting.check(item, wrong)[: SETTINGS.most_findings]


async def test_dicom_answers_are_judged_alike() -> None:
    for item in itertools.chain.from_iterable(dicom_adjacent.items(split, most=EACH) for split in SPLITS):
        assert (await judged(item, item.answer)).passed, item.prompt
        for wrong in item.rejected:
            assert not (await judged(item, wrong)).passed, (item.prompt, wrong)
            assert dicom_adjacent.check(item, wrong)


def submitted(item: Item) -> TaskSubmittedV1:
    texts = {name: Text(text=text, salt="00" * 16) for name, text in {**item.inputs, "prompt": item.prompt}.items()}
    prompt = texts.pop("prompt")
    return TaskSubmittedV1(
        tenant="t", task_id=f"t_{item.id}", kind=item.kind, safety_class="A", prompt=prompt, inputs=texts, actor="a"
    )


def fleet_policy(kind: str) -> KindPolicy:
    return KindPolicy.model_validate_json(json.dumps(json.loads(FLEET.read_text())["kinds"][kind]))


async def test_a_repair_reads_as_the_router_writes_it_from_the_verifiers_findings() -> None:
    policy = fleet_policy(reg_doc_drafting.KIND)
    known = {item.id: item for item in documents()}
    repairs = [item for item in known.values() if item.repair_of]
    assert repairs
    for repair in repairs:
        repaired = known[repair.repair_of]
        task = submitted(repaired)
        composed = {
            compose(task, policy, (await judged(repaired, wrong)).findings, "1").text for wrong in repaired.rejected
        }
        assert repair.prompt in composed


def test_the_inputs_are_those_that_the_fleet_asks_for() -> None:
    required = set(fleet_policy(reg_doc_drafting.KIND).required_inputs)
    assert all(item.inputs.keys() == required for item in documents())
    asked = fleet_policy(dicom_adjacent.KIND)
    for item in dicom_adjacent.items("sealed", most=EACH):
        assert {*asked.required_inputs, asked.answer_schema_input} <= item.inputs.keys()
