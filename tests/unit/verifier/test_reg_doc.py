"""Regulatory documents: schema, field rules, requirement ids; each finding code, and what is refused instead of judged."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_verifier.checks.reg_doc import DocumentLimits, RegDocCheck, check_from
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.patterns import PatternLimits, PatternRefused, compiled
from tierproof_verifier.strict_json import JsonLimits

pytestmark = pytest.mark.requirement("P2")

PATTERNS = PatternLimits(length=200, unbounded_repeats=3)
LIMITS = DocumentLimits(json=JsonLimits(size=50_000, depth=16, digits=30), patterns=PATTERNS, most_findings=10)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "text", "class", "traces"],
    "properties": {
        "id": {"type": "string", "pattern": "^SRS-[0-9]{3}$"},
        "text": {"type": "string", "minLength": 10},
        "class": {"enum": ["A", "B", "C"]},
        "traces": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 5},
        "approved": {"type": "string", "format": "date"},
        "risk": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}
GOOD: dict[str, Any] = {
    "id": "SRS-001",
    "text": "The pump shall stop within 2 s of an occlusion.",
    "class": "C",
    "traces": ["SYS-01", "SYS-02"],
}


def inputs(**extra: object) -> dict[str, str]:
    given_inputs = {"schema": SCHEMA, **extra}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given_inputs.items()}


def rules(*each: tuple[str, str, object]) -> dict[str, Any]:
    return {"version": 1, "rules": [{"field": field, "rule": rule, "value": value} for field, rule, value in each]}


def codes(answer: object, **extra: object) -> list[tuple[str, str]]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    assessment = check_from(inputs(**extra), LIMITS).assess(text)
    assert assessment.passed == (not assessment.findings)
    return [(found.code, found.where) for found in assessment.findings]


def test_a_good_document_passes_every_check() -> None:
    check = check_from(
        inputs(rules=rules(("text", "exactly_one_shall", True)), requirements="SYS-01\nSYS-02\n", pattern=r"SYS-\d\d"),
        LIMITS,
    )
    assessment = check.assess(json.dumps(GOOD))
    assert assessment.passed
    assert [report.check for report in assessment.reports] == [
        "strict-json",
        "schema",
        "field-rules",
        "requirement-ids",
    ]
    assert check.assess(f"```json\n{json.dumps(GOOD)}\n```").reports[0].check == "fence-removed"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"id": 1}, "schema-type", "/id"),
        ({"id": "SRS-1"}, "schema-pattern", "/id"),
        ({"text": "short"}, "schema-minlength", "/text"),
        ({"class": "D"}, "schema-enum", "/class"),
        ({"traces": []}, "schema-minitems", "/traces"),
        ({"traces": [f"x{n}" for n in range(6)]}, "schema-maxitems", "/traces"),
        ({"traces": ["SYS-01", 2]}, "schema-type", "/traces/1"),
        ({"risk": 0}, "schema-minimum", "/risk"),
        ({"risk": True}, "schema-type", "/risk"),
        ({"approved": "2026-02-30"}, "schema-format", "/approved"),
        ({"approved": "20260228"}, "schema-format", "/approved"),
        ({"comment": "extra"}, "schema-additionalproperties", ""),
    ],
)
def test_each_schema_fault_has_its_code_and_place(change: dict[str, Any], code: str, where: str) -> None:
    assert codes({**GOOD, **change}) == [(code, where)]


def test_a_missing_field_is_named() -> None:
    check = check_from(inputs(), LIMITS)
    (found,) = check.assess(json.dumps({name: value for name, value in GOOD.items() if name != "class"})).findings
    assert (found.code, found.note) == ("schema-required", 'missing: ["class"]')


@pytest.mark.parametrize(
    ("rule", "value", "text", "broken"),
    [
        ("max_words", 3, "one two three", False),
        ("max_words", 3, "one two three four", True),
        ("min_words", 2, "one", True),
        ("min_words", 1, "one", False),
        ("max_characters", 3, "four", True),
        ("min_characters", 5, "four", True),
        ("must_contain_word", "shall", "The pump shall stop.", False),
        ("must_contain_word", "shall", "The pump shallow stop.", True),
        ("must_contain_word", "a+b", "say a+b now", False),
        ("must_not_contain_word", "should", "It SHOULD stop", True),
        ("must_not_contain_word", "should", "shoulder", False),
        ("exactly_one_shall", True, "It shall stop.", False),
        ("exactly_one_shall", True, "It shall stop and shall beep.", True),
        ("exactly_one_shall", True, "It stops.", True),
        ("exactly_one_shall", True, "It marshalls.", True),
        ("no_tbd", True, "limit is TBD", True),
        ("no_tbd", True, "limit is to be determined", True),
        ("no_tbd", True, "limit is ???", True),
        ("no_tbd", True, "limit is 5 mm", False),
        ("starts_with", "The ", "The pump", False),
        ("starts_with", "The ", "A pump", True),
        ("ends_with", ".", "The pump", True),
        ("equals", "x", "x ", True),
        ("matches", "[a-z ]+", "all small", False),
        ("matches", "[a-z ]+", "Not small", True),
        ("matches", "[a-z]+", "small\n", True),
    ],
)
def test_each_field_rule(rule: str, value: object, text: str, broken: bool) -> None:  # noqa: FBT001 - a table's column
    found = codes({"note": text}, schema={"type": "object"}, rules=rules(("note", rule, value)))
    assert found == ([(f"rule-{rule.replace('_', '-')}", "/note")] if broken else [])


@pytest.mark.parametrize(
    ("field", "document", "expected"),
    [
        (
            "/items/*/text",
            {"items": [{"text": "TBD"}, {"text": "fine"}, {"text": "todo"}]},
            ["/items/0/text", "/items/2/text"],
        ),
        ("/items/1", {"items": ["fine", "TBD"]}, ["/items/1"]),
        ("note", {"note": 5}, ["/note"]),
        ("/a~1b", {"a/b": "TBD"}, ["/?"]),
    ],
)
def test_rules_find_their_fields(field: str, document: dict[str, Any], expected: list[str]) -> None:
    found = codes(document, schema={"type": "object"}, rules=rules((field, "no_tbd", True)))
    assert found == [("rule-no-tbd", where) for where in expected]


@pytest.mark.parametrize(
    ("field", "document"), [("note", {}), ("/items/*/text", {"items": []}), ("/items/7", {"items": ["x"]})]
)
def test_a_rule_on_an_absent_field_is_broken(field: str, document: dict[str, Any]) -> None:
    found = codes(document, schema={"type": "object"}, rules=rules((field, "no_tbd", True)))
    assert [code for code, _ in found] == ["rule-no-field"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"traces": ["SYS-01", "SYS-99"]}, [("unknown-requirement", "/traces/1")]),
        ({"traces": ["SYS-01", "SYS-01"]}, [("duplicate-requirement", "/traces/1")]),
        ({"rows": [{"id": "SYS-01"}, {"id": "SYS-01"}]}, [("duplicate-requirement", "/rows/1")]),
        ({"text": "see SYS-01 and SYS-77"}, [("unknown-requirement", "/text")]),
        ({"SYS-99": "key"}, [("unknown-requirement", "/SYS-99")]),
        ({"id": "SYS-01", "text": "SYS-01 again"}, []),
    ],
)
def test_requirement_ids_must_exist_once(document: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    extra = {"requirements": '["SYS-01", "SYS-02"]', "pattern": r"SYS-\d\d"}
    assert codes(document, schema={"type": "object"}, **extra) == expected


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"schema": "{"}, "`schema` is not usable"),
        ({"schema": {"type": "strang"}}, "`schema` is not a JSON Schema"),
        ({"schema": {"$ref": "https://example.org/s.json"}}, "another document"),
        ({"schema": {"properties": {"a": {"$ref": "file:///etc/passwd"}}}}, "another document"),
        ({"schema": {"$id": "https://example.org/", "$ref": "#/x"}}, "`\\$id`"),
        ({"schema": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "another dialect"),
        ({"schema": {"format": "iri"}}, "format that is not checked"),
        ({"schema": {"pattern": "(a+)+$"}}, "repeat inside"),
        ({"schema": {"patternProperties": {"(": True}}}, "not a regular expression"),
        ({"rules": {"version": 2, "rules": []}}, "`rules` is not usable"),
        ({"rules": rules(("a", "sounds_nice", True))}, "`rules` is not usable"),
        ({"rules": rules(("a", "max_words", "3"))}, "`rules` is not usable"),
        ({"rules": rules(("a", "matches", "(a*)*"))}, "repeat inside"),
        ({"requirements": "SYS-01"}, "`pattern` is missing"),
        ({"pattern": r"SYS-\d\d"}, "`requirements` is missing"),
        ({"requirements": "", "pattern": r"SYS-\d\d"}, "names no requirement"),
        ({"requirements": "SYS-01\nSYS-01", "pattern": r"SYS-\d\d"}, "twice"),
        ({"requirements": "SYS-01\nREQ", "pattern": r"SYS-\d\d"}, "does not match"),
        ({"requirements": "[1]", "pattern": r"SYS-\d\d"}, "not a JSON list"),
        ({"requirements": "SYS-01", "pattern": r"\d*"}, "matches the empty text"),
    ],
)
def test_an_unusable_input_is_refused_by_name(changed: dict[str, object], says: str) -> None:
    with pytest.raises(InputRefused, match=says):
        check_from(inputs(**changed), LIMITS)


def test_a_missing_schema_is_refused() -> None:
    with pytest.raises(InputRefused, match="`schema` is missing"):
        check_from({}, LIMITS)


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/none"}, {"$ref": "#"}, {"allOf": [{"$ref": "#"}]}])
def test_a_reference_that_leads_nowhere_or_in_circles_is_refused(schema: dict[str, Any]) -> None:
    check = check_from(inputs(schema=schema), LIMITS)
    with pytest.raises(InputRefused, match="`schema`"):
        check.assess("{}")


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*b?)*", "(?:a{2,}){3,}", r"(a)\1", "(?=a)", "(?<!a)b", "a*b*c*d*", "x" * 300, "[", "(a{1,200})*"],
)
def test_patterns_that_may_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused):
        compiled(pattern, PATTERNS)


@pytest.mark.parametrize("pattern", [r"^SRS-[0-9]{3}$", r"(REQ|SYS)-\d+", r"\w+ \w+", "(ab){2,4}", ""])
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    assert compiled(pattern, PATTERNS).pattern == pattern


documents = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"SRS-[0-9]{3}", fullmatch=True),
        "text": st.text(min_size=10, max_size=80),
        "class": st.sampled_from("ABC"),
        "traces": st.lists(st.text(max_size=10), min_size=1, max_size=5),
    },
    optional={"approved": st.dates().map(lambda day: day.isoformat()), "risk": st.integers(1, 5)},
)
BREAKS = (
    lambda document: document.pop("id"),
    lambda document: document.update({"class": "E"}),
    lambda document: document.update({"id": document["id"] + "0"}),
    lambda document: document.update({"text": document["text"][:9]}),
    lambda document: document.update({"traces": None}),
    lambda document: document["traces"].append(3),
    lambda document: document.update({"unasked": 1}),
    lambda document: document.update({"risk": 5.5}),
    lambda document: document.update({"approved": "yesterday"}),
)
CHECK: RegDocCheck = check_from(inputs(), LIMITS)


@given(documents)
def test_every_document_that_conforms_passes(document: dict[str, Any]) -> None:
    assert CHECK.assess(json.dumps(document)).passed


@given(documents, st.sampled_from(BREAKS))
def test_every_break_of_the_schema_fails(document: dict[str, Any], break_it: Any) -> None:
    broken = copy.deepcopy(document)
    break_it(broken)
    assert not CHECK.assess(json.dumps(broken)).passed


@given(st.text(min_size=12, max_size=60))
def test_no_finding_repeats_the_answer(text: str) -> None:
    marked = f"secret-{text}"
    answer = {"id": marked, "text": 5, marked: [marked], "class": marked, "traces": marked}
    for found in CHECK.assess(json.dumps(answer)).findings:
        assert "secret-" not in found.note
        assert "secret-" not in found.where or len(marked) <= 40
