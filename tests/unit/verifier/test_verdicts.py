"""Which answer passes, and what a verdict may say in a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts.verification import CheckReport, Finding, NotPassed, Passed
from tierproof_verifier.decide import cut_off, facts_of, unverifiable, verdict_on
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import Assessment, Sheet, finding, pointer

pytestmark = pytest.mark.requirement("P2")

GOOD = Assessment(reports=(CheckReport(check="schema", passed=True),))


def bad(findings: int = 1, passed_before: int = 0) -> Assessment:
    reports = [CheckReport(check="earlier", passed=True)] * passed_before + [CheckReport(check="schema", passed=False)]
    return Assessment(reports=tuple(reports), findings=(finding("schema-type", "/a", "wrong"),) * findings)


assessments = st.builds(
    Assessment,
    reports=st.lists(st.builds(CheckReport, check=st.just("schema"), passed=st.booleans()), max_size=3).map(tuple),
    findings=st.lists(st.just(finding("schema-type", "", "wrong")), max_size=3).map(tuple),
)


def test_the_first_answer_that_passes_wins() -> None:
    assert verdict_on([bad(), GOOD, GOOD]) == Passed(answer_index=1, checks=GOOD.reports)


def test_a_cut_off_answer_never_passes() -> None:
    verdict = verdict_on([cut_off()])
    assert isinstance(verdict, NotPassed)
    assert verdict.findings[0][0].code == "cut-off"


def test_an_answer_without_any_check_does_not_pass() -> None:
    verdict = verdict_on([Assessment(reports=())])
    assert isinstance(verdict, NotPassed)
    assert verdict.findings[0][0].code == "not-checked"


def test_a_finding_beside_passing_reports_does_not_pass() -> None:
    assert not Assessment(reports=GOOD.reports, findings=(finding("odd", "", "wrong"),)).passed


def test_no_answers_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        verdict_on([])


@pytest.mark.parametrize(
    ("answers", "nearest"),
    [
        ([bad(3), bad(1), bad(2)], 1),
        ([bad(1), bad(2, passed_before=1)], 1),
        ([bad(), bad()], 0),
        ([cut_off(), bad()], 0),
    ],
)
def test_the_nearest_answer_got_furthest_with_the_fewest_findings(answers: list[Assessment], nearest: int) -> None:
    verdict = verdict_on(answers)
    assert isinstance(verdict, NotPassed)
    assert verdict.nearest == nearest


@given(st.lists(assessments, min_size=1, max_size=6))
def test_a_verdict_passes_exactly_when_an_answer_does(answers: list[Assessment]) -> None:
    verdict = verdict_on(answers)
    passing = [index for index, answer in enumerate(answers) if answer.passed]
    if passing:
        assert verdict == Passed(answer_index=passing[0], checks=answers[passing[0]].reports)
    else:
        assert isinstance(verdict, NotPassed)
        assert len(verdict.findings) == len(answers)
        assert all(verdict.findings)


def test_unverifiable_names_the_input_and_the_mend() -> None:
    verdict = unverifiable(InputRefused("schema", "is missing", "give the schema"))
    assert verdict.reason == "input `schema` is missing; give the schema"
    assert len(unverifiable(InputRefused("schema", "x" * 900, "")).reason) == 500


def test_logged_facts_hold_codes_and_no_notes() -> None:
    facts = str(facts_of(verdict_on([bad()])))
    assert "schema-type" in facts
    assert "wrong" not in facts
    assert facts_of(verdict_on([GOOD]))["verdict"] == "passed"
    assert facts_of(unverifiable(InputRefused("a", "b", "c"))) == {"verdict": "unverifiable"}


def test_findings_fit_their_event() -> None:
    found = finding("code", "w" * 500, "n" * 500)
    assert isinstance(found, Finding)
    assert (len(found.where), len(found.note)) == (120, 300)


def test_a_pointer_never_repeats_a_key_that_is_a_text() -> None:
    assert pointer(["title", 3, "the patient Jane Doe has a cold", "x"]) == "/title/3/?/x"


def test_a_sheet_keeps_failing_although_it_tells_no_more_findings() -> None:
    sheet = Sheet(most_findings=2)
    assert not sheet.record("one", [finding("a", "", "")] * 5)
    assert not sheet.record("two", [finding("b", "", "")])
    assessment = sheet.assessment()
    assert len(assessment.findings) == 2
    assert [report.passed for report in assessment.reports] == [False, False]
