"""Requirement ids in an answer: each one exists, and none stands twice in one list."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_contracts.verification import Finding

from tierproof_verifier.errors import InputRefused
from tierproof_verifier.findings import finding, pointer
from tierproof_verifier.patterns import PatternLimits, PatternRefused, compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementIds:
    """The ids that exist, and the pattern by which ids are found in a text."""

    pattern: re.Pattern[str]
    known: frozenset[str]

    def faults(self, value: object) -> Iterator[Finding]:
        """Yield each id of the answer's texts and keys that does not exist or stands twice in one list."""
        yield from self._below(value, ())

    def _below(self, value: object, path: tuple[str | int, ...]) -> Iterator[Finding]:
        if isinstance(value, str):
            unknown = sum(found[0] not in self.known for found in self.pattern.finditer(value))
            if unknown:
                note = f"names {unknown} requirement(s) that do not exist"
                yield finding("unknown-requirement", pointer(path), note)
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                yield from self._below(key, (*path, key))
                yield from self._below(inner, (*path, key))
        elif isinstance(value, list):
            yield from self._twice(value, path)
            for index, inner in enumerate(value):
                yield from self._below(inner, (*path, index))

    def _twice(self, values: list[Any], path: tuple[str | int, ...]) -> Iterator[Finding]:
        seen: set[str] = set()
        for index, value in enumerate(values):
            named = value.get("id") if isinstance(value, Mapping) else value
            if isinstance(named, str) and self.pattern.fullmatch(named):
                if named in seen:
                    yield finding(
                        "duplicate-requirement", pointer((*path, index)), "this list names the requirement before"
                    )
                seen.add(named)


def requirement_ids_from(pattern: str, requirements: str, limits: PatternLimits) -> RequirementIds:
    """Return the ids in `requirements` (a JSON list, or one id per line). Raises `InputRefused`."""
    try:
        expression = compiled(pattern.strip(), limits)
    except PatternRefused as error:
        raise InputRefused(
            "pattern", f"is not usable ({error})", "give a simple regular expression for one id"
        ) from None
    if expression.search(""):
        raise InputRefused("pattern", "matches the empty text", "give a regular expression for one id")
    ids = _listed(requirements)
    mend = "give each id once, one per line or as a JSON list"
    if not ids:
        raise InputRefused("requirements", "names no requirement", mend)
    if len(set(ids)) != len(ids):
        raise InputRefused("requirements", "names a requirement twice", mend)
    strange = sum(not expression.fullmatch(one) for one in ids)
    if strange:
        raise InputRefused(
            "requirements", f"has {strange} id(s) that `pattern` does not match", "mend one or the other"
        )
    return RequirementIds(pattern=expression, known=frozenset(ids))


def _listed(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise InputRefused("requirements", "is not a JSON list of texts", "give a JSON list, or one id per line")
    return listed
