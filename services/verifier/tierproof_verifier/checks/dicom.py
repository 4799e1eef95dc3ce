"""Kind `dicom-adjacent`: one attribute's tag, keyword, VR, VM and de-identification action, against the standard's own tables.

Dictionary: DICOM PS3.6 as carried by pydicom. Actions: DICOM PS3.15 Table E.1-1, Basic Application Level Confidentiality Profile, in
`deidentification.json` beside this package's modules, or in the task's input `deidentification` of the same form.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydicom._dicom_dict import DicomDictionary
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.verification import Finding

from tierproof_verifier import strict_json
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import Assessment, Sheet, finding

AskedField = Literal["tag", "keyword", "name", "vr", "vm", "action"]
# PS3.15 Table E.1-1a: D dummy, Z zero length, X remove, K keep, C clean, U replace the UID, and their combinations.
Action = Annotated[str, Field(pattern=r"^(?:[DZXKCU]|Z/D|X/Z|X/D|X/Z/D|X/Z/U\*)$")]

_SHAPES: dict[AskedField, tuple[str, str]] = {
    "tag": (r"\([0-9A-F]{4},[0-9A-F]{4}\)", "must be written (gggg,eeee) in upper-case hexadecimal"),
    "keyword": (r"[A-Za-z][A-Za-z0-9]*", "must be a keyword without spaces"),
    "name": (r".+", "must not be empty"),
    "vr": (r"[A-Z]{2}(?: or [A-Z]{2})*", "must be two capital letters"),
    "vm": (r"[0-9]+(?:-(?:[0-9]+n?|n))?", "must be a multiplicity such as 1, 1-n or 3"),
    "action": (r"[DZXKCU](?:/[DZXKCU]\*?)*", "must be an action code of PS3.15 Table E.1-1a"),
}


class Question(BaseModel):
    """Which attribute is asked about, by keyword or name, and which fields of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: str = Field(min_length=1, max_length=100)
    fields: tuple[AskedField, ...] = Field(min_length=1)


class ActionTable(BaseModel):
    """De-identification actions by keyword, with version and source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    source: str
    actions: dict[str, Action]


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomCheck:
    """The facts that one request asks for."""

    facts: Mapping[AskedField, str]
    limits: strict_json.JsonLimits
    most_findings: int
    show_expected: bool

    def assess(self, answer: str) -> Assessment:
        """Return what is wrong with one answer."""
        sheet = Sheet(self.most_findings)
        text, fenced = strict_json.without_fence(answer)
        if fenced:
            sheet.record("fence-removed")
        try:
            given = strict_json.parse_object(text, self.limits)
        except strict_json.NotStrict as fault:
            sheet.record("strict-json", [finding(fault.code, fault.where, fault.note)])
            return sheet.assessment()
        sheet.record("strict-json")
        if sheet.record("fields", self._shape_faults(given)):
            for name, fact in self.facts.items():
                sheet.record(name, self._fact_faults(name, fact, given[name]))
        return sheet.assessment()

    def _shape_faults(self, given: Mapping[str, Any]) -> Iterator[Finding]:
        for name in self.facts:
            shape, note = _SHAPES[name]
            if name not in given:
                yield finding("missing-field", f"/{name}", f"the field `{name}` is asked for")
            elif not isinstance(given[name], str) or not re.fullmatch(shape, given[name]):
                yield finding("malformed-field", f"/{name}", f"`{name}` {note}")
        if given.keys() - self.facts.keys():
            yield finding("unasked-field", "", f"only these fields are asked for: {', '.join(self.facts)}")

    def _fact_faults(self, name: str, fact: str, said: str) -> Iterator[Finding]:
        if said != fact:
            told = f"; it is {fact}" if self.show_expected else ""
            yield finding(f"wrong-{name}", f"/{name}", f"this is not the `{name}` of the attribute{told}")


def check_from(
    inputs: Mapping[str, str], *, limits: strict_json.JsonLimits, most_findings: int, show_expected: bool
) -> DicomCheck:
    """Return the check for a request's inputs `question` and, optionally, `deidentification`. Raises `InputRefused`."""
    mend = 'give {"attribute": "PatientName", "fields": ["tag", "vr", "action"]}'
    if "question" not in inputs:
        raise InputRefused("question", "is missing", mend)
    try:
        question = Question.model_validate_json(inputs["question"])
    except ValidationError as error:
        raise InputRefused("question", f"is not usable ({explain_validation(error)})", mend) from None
    entry = _entries().get(question.attribute.lower())
    if entry is None:
        raise InputRefused(
            "question", "asks for an attribute that DICOM PS3.6 does not have", "use its keyword or name"
        )
    return DicomCheck(
        facts={name: _fact(name, entry, inputs) for name in question.fields},
        limits=limits,
        most_findings=most_findings,
        show_expected=show_expected,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    tag: str
    vr: str
    vm: str
    name: str
    keyword: str


@cache
def _entries() -> Mapping[str, _Entry]:
    """Return the dictionary by keyword and by name, in lower case."""
    by_word: dict[str, _Entry] = {}
    for number, (vr, vm, name, _retired, keyword) in DicomDictionary.items():
        tag = f"({number >> 16:04X},{number & 0xFFFF:04X})"
        entry = _Entry(tag=tag, vr=vr, vm=vm, name=name, keyword=keyword)
        for word in filter(None, (keyword.lower(), name.lower())):
            by_word.setdefault(word, entry)
    return by_word


def _fact(name: AskedField, entry: _Entry, inputs: Mapping[str, str]) -> str:
    match name:
        case "tag":
            return entry.tag
        case "keyword":
            return entry.keyword
        case "name":
            return entry.name
        case "vr":
            return entry.vr
        case "vm":
            return entry.vm
        case "action":
            return _action(entry, inputs.get("deidentification"))


def _action(entry: _Entry, given: str | None) -> str:
    table = shipped_actions() if given is None else _table_from(given)
    if entry.keyword not in table.actions:
        wrong = f"asks for the action of an attribute that table {table.version} does not have"
        raise InputRefused("question", wrong, "give a table that has it as input `deidentification`")
    return table.actions[entry.keyword]


def _table_from(text: str) -> ActionTable:
    try:
        return ActionTable.model_validate_json(text)
    except ValidationError as error:
        mend = 'give {"version": ..., "source": ..., "actions": {"PatientName": "Z"}}'
        raise InputRefused("deidentification", f"is not usable ({explain_validation(error)})", mend) from None


@cache
def shipped_actions() -> ActionTable:
    """Return the table that comes with this release."""
    return ActionTable.model_validate_json(files("tierproof_verifier").joinpath("deidentification.json").read_text())
