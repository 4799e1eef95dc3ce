"""Findings and assessments: what a check says of one answer, in codes, positions and facts of the checker."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tierproof_contracts.verification import CheckReport, Finding

_LONGEST_WHERE = 120
_LONGEST_NOTE = 300
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One answer's checks, in the order in which they ran, and what they found."""

    reports: tuple[CheckReport, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether checks ran, all passed, and none found anything."""
        return bool(self.reports) and all(report.passed for report in self.reports) and not self.findings


def finding(code: str, where: str, note: str) -> Finding:
    """Return a finding that fits its event; `note` is made of templates and the checker's facts."""
    return Finding(code=code, where=where[:_LONGEST_WHERE], note=note[:_LONGEST_NOTE])


def pointer(path: Iterable[str | int]) -> str:
    """Return a JSON pointer (RFC 6901); a key that is not a plain name is shown as `?`, for it may be a text of the answer."""
    return "".join(f"/{part if isinstance(part, int) or _PLAIN_KEY.fullmatch(part) else '?'}" for part in path)


class Sheet:
    """The reports and findings of one answer while its checks run."""

    def __init__(self, most_findings: int) -> None:
        self._most = most_findings
        self._reports: list[CheckReport] = []
        self._findings: list[Finding] = []

    def record(self, check: str, found: Iterable[Finding] = ()) -> bool:
        """Write down one check with what it found; return whether it passed."""
        findings = list(found)
        self._reports.append(CheckReport(check=check, passed=not findings))
        self._findings.extend(findings[: self._most - len(self._findings)])
        return not findings

    def assessment(self) -> Assessment:
        """Return the finished assessment."""
        return Assessment(reports=tuple(self._reports), findings=tuple(self._findings))
