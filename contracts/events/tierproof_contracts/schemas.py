"""The JSON Schemas (2020-12) of the published language, made from the models. Pure: the same models give the same bytes."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from tierproof_contracts.asyncapi import asyncapi
from tierproof_contracts.catalogue import EVENTS, envelope_of, schema_name
from tierproof_contracts.documents import FleetManifest, Reviewers, RoutingPolicy
from tierproof_contracts.envelope import Event

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENTS: dict[str, type[BaseModel]] = {
    "routing-policy": RoutingPolicy,
    "fleet-manifest": FleetManifest,
    "reviewers": Reviewers,
}
ASYNCAPI = "asyncapi.json"


def event_schema(event: type[Event]) -> dict[str, Any]:
    """Return the schema of an event in its envelope."""
    schema = schema_of(envelope_of(event))
    schema["title"] = event.event_type
    schema["description"] = _first_sentence(event)
    for attribute, value in (("type", event.event_type), ("dataschema", schema_name(event.event_type))):
        schema["properties"][attribute] = {"const": value, "type": "string"}
    return schema


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's schema, with what pydantic leaves unsaid: fixed words are written, and no key outside a key pattern."""
    return {"$schema": DIALECT, **_said(model.model_json_schema(mode="validation"))}


def _said(node: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(node, list):
        return [_said(part) for part in node]
    if not isinstance(node, dict):
        return node
    said = {key: _said(part) for key, part in node.items() if not _generated_title(key, part)}
    if "patternProperties" in said:
        said.setdefault("additionalProperties", False)
    if isinstance(said.get("properties"), dict) and said.get("type") == "object":
        # A field of one possible word has a default for Python's sake; on the wire it tells the parts of a union apart.
        fixed = {name for name, field in said["properties"].items() if "const" in field}
        required = [name for name in said["properties"] if name in fixed | set(said.get("required", ()))]
        said |= {"required": required} if required else {}
    return said


def _generated_title(key: str, part: object) -> bool:
    return key == "title" and isinstance(part, str)


def _first_sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every file of the schema folder: its name and what it holds."""
    for event_type, event in EVENTS.items():
        yield schema_name(event_type), event_schema(event)
    for name, document in DOCUMENTS.items():
        yield f"{name}.json", schema_of(document)
    yield ASYNCAPI, asyncapi()


def file_bytes(content: dict[str, Any]) -> bytes:
    """Return the bytes of a committed file: readable, sorted, one final newline."""
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
