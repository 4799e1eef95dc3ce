"""JSON schemas, refused before the engine sees them: one that its grammar compiler rejects spoils the whole batch."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from tierproof_model_server.errors import SchemaRefused

# What the grammar compiler turns into a grammar; anything else would be ignored in silence or fail inside the engine.
SUPPORTED = frozenset(
    {
        "$schema", "title", "description", "type", "properties", "required", "additionalProperties", "items", "prefixItems",
        "minItems", "maxItems", "enum", "const", "anyOf", "minLength", "maxLength", "minimum", "maximum",
    }
)  # fmt: skip


def accepted(text: str, *, most_bytes: int, most_depth: int) -> str:
    """Return the schema in compact form; raises SchemaRefused with the reason."""
    if len(text.encode()) > most_bytes:
        raise SchemaRefused(because=f"larger than {most_bytes} bytes")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise SchemaRefused(because=f"not JSON: {broken}") from broken
    if not isinstance(schema, dict):
        raise SchemaRefused(because="not a JSON object")
    _depth_within(schema, most_depth)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as broken:
        raise SchemaRefused(because=f"not a JSON schema: {broken.message}") from broken
    for part in _parts(schema):
        unknown = sorted(set(part) - SUPPORTED)
        if unknown:
            raise SchemaRefused(because=f"keyword {unknown[0]!r} is not supported")
    return json.dumps(schema, separators=(",", ":"))


def _depth_within(value: object, left: int) -> None:
    if left < 0:
        raise SchemaRefused(because="nested too deeply")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _depth_within(child, left - 1)


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schema and every schema inside it; values of enum and const are no schemas."""
    yield schema
    inner = [
        *schema.get("properties", {}).values(),
        *schema.get("anyOf", ()),
        *schema.get("prefixItems", ()),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    for part in inner:
        if isinstance(part, dict):
            yield from _parts(part)
