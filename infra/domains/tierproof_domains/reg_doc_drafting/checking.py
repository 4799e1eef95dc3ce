"""What is wrong with an answer, by the schema, the rules and the ids of its item: a reading of its own, without the verifier.

Only what these families ask for is read here. A fault is noted in the words in which the verifier notes it, so that repairs are phrased
as the router phrases them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tierproof_domains.repairing import Fault

_UNDECIDED = re.compile(
    r"\b(?:tbd|tbc|tba|todo|fixme|xxx|to be (?:defined|determined|decided|confirmed|specified))\b|\?\?+", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_COUNTED = frozenset({"max_words", "exactly_one_shall", "no_tbd"})


def faults(inputs: Mapping[str, str], answer: str) -> list[Fault]:
    """Return what is wrong with an answer, in the order in which it is told; empty when it is right."""
    try:
        document = json.loads(answer)
    except ValueError:
        return [Fault("", "the text is not JSON from here on; give one JSON value alone")]
    if not isinstance(document, dict):
        return [Fault("", "the JSON value must be an object")]
    told = sorted(_schema_faults(json.loads(inputs["schema"]), document, ""), key=lambda fault: fault[:2])
    found = [Fault(where, note) for where, _, note in told]
    for rule in json.loads(inputs["rules"])["rules"]:
        found += _rule_faults(rule, document)
    known = set(inputs["requirements"].split())
    return found + list(_id_faults(document, re.compile(inputs["pattern"]), known, ""))


def _schema_faults(schema: Mapping[str, Any], value: Any, where: str) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - JSON
    if "enum" in schema and value not in schema["enum"]:
        yield where, "enum", f"must satisfy enum {_short(schema['enum'])}"
    named = {"object": dict, "array": list, "string": str}
    if "type" in schema and not isinstance(value, named[schema["type"]]):
        yield where, "type", f"must satisfy type {_short(schema['type'])}"
        return
    least, most = ("minItems", "maxItems") if isinstance(value, list) else ("minLength", "maxLength")
    if least in schema and len(value) < schema[least]:
        yield where, least, f"must satisfy {least} {schema[least]}"
    if most in schema and len(value) > schema[most]:
        yield where, most, f"must satisfy {most} {schema[most]}"
    if isinstance(value, dict):
        yield from _member_faults(schema, value, where)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _schema_faults(schema["items"], item, f"{where}/{index}")


def _member_faults(schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    missing = [name for name in schema["required"] if name not in value]
    for _ in missing:
        yield where, "required", f"missing: {_short(missing)}"
    if value.keys() - schema["properties"].keys():
        yield where, "additionalProperties", "has a property that the schema does not allow"
    for name, part in schema["properties"].items():
        if name in value:
            yield from _schema_faults(part, value[name], f"{where}/{name}")


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True)


def _rule_faults(rule: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Fault]:
    texts = list(_texts_at(document, rule["field"].strip("/").split("/"), ""))
    if not texts:
        yield Fault(f"/{rule['field'].strip('/')}", f"rule {rule['rule']}: there is no such field")
    for where, text in texts:
        note = _broken(rule["rule"], rule["value"], text) if isinstance(text, str) else "is not a text"
        if note:
            yield Fault(where, note)


def _texts_at(value: Any, path: list[str], where: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if not path:
        yield where, value
        return
    first, *rest = path
    if isinstance(value, dict) and first in value:
        yield from _texts_at(value[first], rest, f"{where}/{first}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if first in {"*", str(index)}:
                yield from _texts_at(item, rest, f"{where}/{index}")


def _broken(name: str, value: Any, text: str) -> str:  # noqa: ANN401 - a rule's value is a text, a number or true
    """Return the note of a rule that the text breaks, or nothing."""
    if name in _COUNTED:
        return _count_note(name, value, text)
    holds, note = {
        "starts_with": (text.startswith(str(value)), f"must start with `{value}`"),
        "ends_with": (text.endswith(str(value)), f"must end with `{value}`"),
        "equals": (text == value, "is not the exact text asked for"),
        "matches": (bool(re.fullmatch(str(value), text)), f"must match `{value}`"),
        "must_contain_word": (_has_word(text, value), f"must contain the word `{value}`"),
        "must_not_contain_word": (not _has_word(text, value), f"must not contain the word `{value}`"),
    }[name]
    return "" if holds else note


def _count_note(name: str, value: Any, text: str) -> str:  # noqa: ANN401 - as above
    words, shalls = len(_WORD.findall(text)), len(re.findall(r"\bshall\b", text, re.IGNORECASE))
    holds, note = {
        "max_words": (name != "max_words" or words <= value, f"has {words} words; at most {value} are allowed"),
        "exactly_one_shall": (shalls == 1, f"has the word `shall` {shalls} times; exactly once is allowed"),
        "no_tbd": (not _UNDECIDED.search(text), "leaves something undecided (TBD, TODO and the like)"),
    }[name]
    return "" if holds else note


def _has_word(text: str, word: object) -> bool:
    return re.search(rf"(?<!\w){re.escape(str(word))}(?!\w)", text, re.IGNORECASE) is not None


def _id_faults(value: object, pattern: re.Pattern[str], known: set[str], where: str) -> Iterator[Fault]:
    if isinstance(value, str):
        unknown = sum(found[0] not in known for found in pattern.finditer(value))
        if unknown:
            yield Fault(where, f"names {unknown} requirement(s) that do not exist")
        return
    if isinstance(value, list):
        twice = (index for index, one in enumerate(value) if one in value[:index])
        yield from (Fault(f"{where}/{index}", "this list names the requirement before") for index in twice)
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from _id_faults(inner, pattern, known, f"{where}/{name}")
