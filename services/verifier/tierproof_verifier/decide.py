"""Which answer passes. Pure: the same assessments give the same verdict."""

from collections.abc import Sequence
from typing import assert_never

from tierproof_contracts.verification import (
    CheckReport,
    Finding,
    NotPassed,
    Passed,
    Unverifiable,
    Verdict,
)

from tierproof_verifier.errors import VerifierError
from tierproof_verifier.findings import Assessment, finding

_LONGEST_REASON = 500


def cut_off() -> Assessment:
    """Return the assessment of an answer that ended at the token limit: part of an answer is no answer."""
    note = "the answer ended at the token limit; it must be complete"
    return Assessment(
        reports=(CheckReport(check="complete", passed=False),),
        findings=(finding("cut-off", "", note),),
    )


def verdict_on(assessments: Sequence[Assessment]) -> Passed | NotPassed:
    """Choose the first answer that passed every check; otherwise tell the findings of each, and the nearest.

    `assessments` are in the order of the answers. Nothing to assess is no pass.
    """
    if not assessments:
        raise ValueError("a verdict needs at least one answer")
    for index, assessment in enumerate(assessments):
        if assessment.passed:
            return Passed(answer_index=index, checks=assessment.reports)
    nearest = min(range(len(assessments)), key=lambda index: (_distance(assessments[index]), index))
    return NotPassed(findings=tuple(_explained(assessment) for assessment in assessments), nearest=nearest)


def unverifiable(error: VerifierError) -> Unverifiable:
    """Return the verdict when checks cannot run: never a pass."""
    return Unverifiable(reason=error.diagnosis()[:_LONGEST_REASON])


def facts_of(verdict: Verdict) -> dict[str, object]:
    """Return what may be logged of a verdict: counts and codes, never texts."""
    match verdict:
        case Passed():
            return {"verdict": "passed", "answer_index": verdict.answer_index, "checks": len(verdict.checks)}
        case NotPassed():
            codes = sorted({found.code for findings in verdict.findings for found in findings})
            return {"verdict": "failed", "answers": len(verdict.findings), "codes": codes}
        case Unverifiable():
            return {"verdict": "unverifiable"}
        case _:
            assert_never(verdict)


def _distance(assessment: Assessment) -> tuple[int, int]:
    """Rank by how many checks failed to run or pass, then by findings: an answer that got further is nearer."""
    return (-sum(report.passed for report in assessment.reports), len(assessment.findings))


def _explained(assessment: Assessment) -> tuple[Finding, ...]:
    if assessment.findings:
        return assessment.findings
    return (finding("not-checked", "", "no check of this kind passed the answer"),)
