"""Kind `reg-doc-drafting`: one JSON object that fits its schema, its field rules and the requirements that exist."""

from collections.abc import Mapping
from dataclasses import dataclass

from tierproof_verifier import strict_json
from tierproof_verifier.checks.field_rules import FieldRules, rules_from
from tierproof_verifier.checks.json_schema import SchemaCheck
from tierproof_verifier.checks.requirement_ids import RequirementIds, requirement_ids_from
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import Assessment, Sheet, finding
from tierproof_verifier.patterns import PatternLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """Limits on JSON texts and patterns, and how many findings are told per answer."""

    json: strict_json.JsonLimits
    patterns: PatternLimits
    most_findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegDocCheck:
    """What one request's answers are held against."""

    schema: SchemaCheck
    rules: FieldRules | None
    ids: RequirementIds | None
    limits: DocumentLimits

    def assess(self, answer: str) -> Assessment:
        """Return what is wrong with one answer. Raises `InputRefused` when the schema cannot be followed."""
        sheet = Sheet(self.limits.most_findings)
        text, fenced = strict_json.without_fence(answer)
        if fenced:
            sheet.record("fence-removed")
        try:
            document = strict_json.parse_object(text, self.limits.json)
        except strict_json.NotStrict as fault:
            sheet.record("strict-json", [finding(fault.code, fault.where, fault.note)])
            return sheet.assessment()
        sheet.record("strict-json")
        sheet.record("schema", self.schema.faults(document))
        if self.rules is not None:
            sheet.record("field-rules", self.rules.faults(document))
        if self.ids is not None:
            sheet.record("requirement-ids", self.ids.faults(document))
        return sheet.assessment()


def check_from(inputs: Mapping[str, str], limits: DocumentLimits) -> RegDocCheck:
    """Return the check for a request's inputs: `schema`; optionally `rules`; optionally `requirements` with `pattern`.

    Raises `InputRefused`.
    """
    if "schema" not in inputs:
        raise InputRefused("schema", "is missing", "give the JSON Schema of the document")
    for one, other in (("requirements", "pattern"), ("pattern", "requirements")):
        if one in inputs and other not in inputs:
            raise InputRefused(other, "is missing", f"give it together with `{one}`")
    return RegDocCheck(
        schema=SchemaCheck(inputs["schema"], limits.json, limits.patterns),
        rules=rules_from(inputs["rules"], limits.patterns) if "rules" in inputs else None,
        ids=requirement_ids_from(inputs["pattern"], inputs["requirements"], limits.patterns)
        if "requirements" in inputs
        else None,
        limits=limits,
    )
