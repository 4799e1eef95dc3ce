"""JSON Schema 2020-12, from one self-contained document: remote references, unknown formats and endless patterns are refused."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from tierproof_contracts.verification import Finding

from tierproof_verifier import strict_json
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import finding, pointer
from tierproof_verifier.patterns import PatternLimits, PatternRefused, compiled

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef")
_FORMATS = FormatChecker(formats=())
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SHOWN = 160
SCHEMAS_REMEMBERED = 32


def _date(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII) and dt.date.fromisoformat(value)
    )


def _date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(_DATE_TIME.fullmatch(value) and dt.datetime.fromisoformat(value.upper()))


def _email(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value))


def _uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value)
    )


for _name, _holds in {"date": _date, "date-time": _date_time, "email": _email, "uuid": _uuid}.items():
    _FORMATS.checks(_name, raises=ValueError)(_holds)


class SchemaCheck:
    """One schema, read and found usable."""

    def __init__(self, text: str, json_limits: strict_json.JsonLimits, pattern_limits: PatternLimits) -> None:
        """Read the input `schema`. Raises `InputRefused`."""
        schema = _usable(text, json_limits, pattern_limits)
        registry: Registry[Any] = Registry()
        self._validator = Draft202012Validator(schema, registry=registry, format_checker=_FORMATS)

    def faults(self, value: object) -> Iterator[Finding]:
        """Yield what in a JSON value breaks the schema, in the order of their places. Raises `InputRefused`."""
        try:
            errors = sorted(
                self._validator.iter_errors(value),
                key=lambda error: (pointer(error.absolute_path), str(error.validator)),
            )
        except Unresolvable:
            raise _refused("has a $ref that leads nowhere") from None
        except RecursionError:
            raise _refused("refers to itself without end") from None
        for error in errors:
            yield _as_finding(error)


@lru_cache(maxsize=SCHEMAS_REMEMBERED)
def _usable(text: str, json_limits: strict_json.JsonLimits, pattern_limits: PatternLimits) -> Any:  # noqa: ANN401 - JSON
    """Return a schema that was found usable; many tasks share one. Nobody changes it. Raises `InputRefused`."""
    try:
        schema = strict_json.parse_object(text, json_limits)
        for keyword, value in _keywords(schema):
            _refuse_unsafe(keyword, value, pattern_limits)
        Draft202012Validator.check_schema(schema)
    except strict_json.NotStrict as fault:
        raise _refused(f"is not usable ({fault.note})") from None
    except PatternRefused as fault:
        raise _refused(f"is not usable ({fault})") from None
    except SchemaError as fault:
        raise _refused(f"is not a JSON Schema (at {pointer(fault.absolute_path) or '/'})") from None
    return schema


def _refused(wrong: str) -> InputRefused:
    return InputRefused("schema", wrong, "give one self-contained JSON Schema 2020-12 document")


def _keywords(schema: object) -> Iterator[tuple[str, object]]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            yield key, value
            yield from _keywords(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keywords(value)


def _refuse_unsafe(keyword: str, value: object, limits: PatternLimits) -> None:
    if keyword in _REFERENCES and isinstance(value, str) and not value.startswith("#"):
        raise _refused("refers to another document by $ref")
    if keyword in {"$id", "$vocabulary"} and isinstance(value, str | dict):
        raise _refused(f"has `{keyword}`")
    if keyword == "$schema" and isinstance(value, str) and value.rstrip("#") != _DIALECT:
        raise _refused("names another dialect in $schema")
    if keyword == "format" and isinstance(value, str) and value not in _FORMATS.checkers:
        raise _refused(f"asks for a format that is not checked here ({', '.join(sorted(_FORMATS.checkers))} are)")
    if keyword == "pattern" and isinstance(value, str):
        compiled(value, limits)
    if keyword == "patternProperties" and isinstance(value, Mapping):
        for pattern in value:
            compiled(pattern, limits)


def _as_finding(error: ValidationError) -> Finding:
    keyword = str(error.validator)
    code = "schema-" + re.sub(r"[^a-z0-9]+", "-", keyword.lower()).strip("-")
    return finding(code[:48].rstrip("-"), pointer(error.absolute_path), _note(keyword, error))


def _note(keyword: str, error: ValidationError) -> str:
    """Return a sentence made of the schema's own words."""
    if keyword == "required" and isinstance(error.instance, Mapping):
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"missing: {_short(missing)}"
    if keyword in {"additionalProperties", "unevaluatedProperties"}:
        return "has a property that the schema does not allow"
    if keyword in {"anyOf", "oneOf", "not", "if", "then", "else", "contains", "dependentSchemas"}:
        return f"does not satisfy `{keyword}`"
    return f"must satisfy {keyword} {_short(error.validator_value)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
