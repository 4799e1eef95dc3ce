"""DICOM facts: each wrong field has its code; the shipped table is of attributes that exist."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from tierproof_verifier.checks.dicom import DicomCheck, check_from, shipped_actions
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.strict_json import JsonLimits

pytestmark = pytest.mark.requirement("P2")

LIMITS = JsonLimits(size=4000, depth=4, digits=20)
FIELDS = ["tag", "keyword", "name", "vr", "vm", "action"]
RIGHT = {"tag": "(0010,0010)", "keyword": "PatientName", "name": "Patient's Name", "vr": "PN", "vm": "1", "action": "Z"}


def check(attribute: str = "PatientName", fields: list[str] = FIELDS, **inputs: str) -> DicomCheck:
    question = json.dumps({"attribute": attribute, "fields": fields})
    return check_from({"question": question, **inputs}, limits=LIMITS, most_findings=9, show_expected=False)


def codes(answer: object, checked: DicomCheck | None = None) -> list[str]:
    return [found.code for found in (checked or check()).assess(json.dumps(answer)).findings]


@pytest.mark.parametrize("attribute", ["PatientName", "Patient's Name", "patientname"])
def test_the_right_facts_pass_by_keyword_or_name(attribute: str) -> None:
    assessment = check(attribute).assess(json.dumps(RIGHT))
    assert assessment.passed
    assert [report.check for report in assessment.reports] == ["strict-json", "fields", *FIELDS]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("tag", "(0010,0020)", "wrong-tag"),
        ("tag", "0010,0010", "malformed-field"),
        ("tag", "(0010,001g)", "malformed-field"),
        ("keyword", "PatientID", "wrong-keyword"),
        ("keyword", "Patient Name", "malformed-field"),
        ("name", "Patient Name", "wrong-name"),
        ("vr", "LO", "wrong-vr"),
        ("vr", "pn", "malformed-field"),
        ("vm", "1-n", "wrong-vm"),
        ("vm", 1, "malformed-field"),
        ("action", "X", "wrong-action"),
        ("action", "Z/D", "wrong-action"),
        ("action", "remove", "malformed-field"),
    ],
)
def test_each_wrong_field_has_its_code(field: str, value: object, code: str) -> None:
    assert codes({**RIGHT, field: value}) == [code]


def test_missing_and_unasked_fields_are_found() -> None:
    assert codes({name: fact for name, fact in RIGHT.items() if name != "vr"}) == ["missing-field"]
    assert codes({**RIGHT, "comment": "sure"}) == ["unasked-field"]
    assert codes({"tag": "(0010,0010)", "vr": "PN"}, check(fields=["tag"])) == ["unasked-field"]


def test_an_answer_that_is_no_strict_object_is_found() -> None:
    assert [found.code for found in check().assess("PN").findings] == ["not-json"]


def test_the_right_fact_is_not_told_unless_the_settings_say_so() -> None:
    (found,) = check().assess(json.dumps({**RIGHT, "tag": "(0010,0020)"})).findings
    assert "0010" not in found.note
    telling = check_from(
        {"question": json.dumps({"attribute": "PatientName", "fields": ["tag"]})},
        limits=LIMITS, most_findings=9, show_expected=True,
    )  # fmt: skip
    (found,) = telling.assess('{"tag": "(0010,0020)"}').findings
    assert "(0010,0010)" in found.note


@given(st.sampled_from(FIELDS), st.text(max_size=20))
def test_no_text_but_the_fact_passes(field: str, said: str) -> None:
    assert (codes({field: said}, check(fields=[field])) == []) == (said == RIGHT[field])


@pytest.mark.parametrize("keyword", sorted(shipped_actions().actions))
def test_the_shipped_table_is_of_real_attributes_with_fitting_actions(keyword: str) -> None:
    assert tag_for_keyword(keyword) is not None
    is_uid = dictionary_VR(keyword) == "UI"
    assert is_uid == (shipped_actions().actions[keyword] == "U")


def test_the_shipped_table_says_where_its_facts_come_from() -> None:
    assert len(shipped_actions().actions) >= 40
    assert "PS3.15 Table E.1-1" in shipped_actions().source


def test_a_given_table_replaces_the_shipped_one() -> None:
    table = json.dumps({"version": "site-7", "source": "our own rules", "actions": {"PatientName": "X"}})
    assert codes({"action": "X"}, check(fields=["action"], deidentification=table)) == []


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "`question` is missing"),
        ({"question": "{}"}, "`question` is not usable"),
        ({"question": '{"attribute": "PatientName", "fields": ["colour"]}'}, "`question` is not usable"),
        ({"question": '{"attribute": "PatientMood", "fields": ["tag"]}'}, "does not have"),
        ({"question": '{"attribute": "Rows", "fields": ["action"]}'}, "table 1 does not have"),
        (
            {"question": '{"attribute": "Rows", "fields": ["action"]}', "deidentification": '{"actions": {}}'},
            "`deidentification` is not usable",
        ),
    ],
)
def test_an_unusable_question_is_refused(inputs: dict[str, str], says: str) -> None:
    with pytest.raises(InputRefused, match=says):
        check_from(inputs, limits=LIMITS, most_findings=9, show_expected=False)
