"""What a family hands over: a content that is drawn and not yet phrased."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_domains.item import Phrasing
from tierproof_domains.reg_doc_drafting.facts import Rule

Document = dict[str, Any]
PATTERN = "(?:REQ|SYS|HAZ|TC)-[0-9]+"
TEXT = {"type": "string", "minLength": 3, "maxLength": 200}
ID = {"type": "string", "minLength": 4, "maxLength": 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A content before it is phrased: its key, and how it is said and examined. One fact has one key in all families."""

    family: str
    key: str
    answer: Document
    schema: Mapping[str, Any]
    rules: tuple[Rule, ...]
    known: tuple[str, ...]
    wrong: tuple[Document, ...]
    say: Callable[[random.Random, Phrasing], str]


def schema_of(**members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with these members, all required, and no other."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def numbers(chance: random.Random, count: int) -> list[int]:
    """Return different numbers for ids."""
    return chance.sample(range(2, 1000), count)


def neighbours(prefix: str, number: int) -> tuple[str, ...]:
    """Return the ids that exist around one: itself among them."""
    return tuple(f"{prefix}-{number + offset}" for offset in (-1, 0, 1))


def under_other_ids(answer: Document, prefix: str, number: int) -> tuple[Document, ...]:
    """Return the answer under the next id, which exists, and under one that does not."""
    return {**answer, "id": f"{prefix}-{number + 1}"}, {**answer, "id": f"{prefix}-{number + 7}"}


def written(document: Document) -> str:
    """Return a document in the one form in which answers are written."""
    return json.dumps(document, ensure_ascii=False)
