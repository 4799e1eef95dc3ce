"""The AsyncAPI 3.0 document of the bus: channels by subject, and who sends and receives on them, from the topology. Pure."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from tierproof_contracts import subjects, topology
from tierproof_contracts.catalogue import EVENTS, schema_name
from tierproof_contracts.topology import User

LONGEST_SUBJECT = 255
MOST_TOKENS = 8


def channel_address(event_type: str) -> str:
    """Return the subject of an event type with `{parameters}` in place of its tokens."""
    write = subject_function(event_type)
    return str(write(*(f"{{{name}}}" for name in inspect.signature(write).parameters)))


def subject_function(event_type: str) -> Any:  # noqa: ANN401 - one of the functions of `subjects`, each with its own arguments
    """Return the function that writes the subjects of an event type: `task.submitted.v1` -> `task_submitted`."""
    noun, participle, _version = event_type.split(".")
    return getattr(subjects, f"{noun}_{participle}")


def published_by(user: User) -> tuple[str, ...]:
    """Return the event types that a user may publish, in the catalogue's order."""
    return tuple(t for t in EVENTS if any(_speaks_of(pattern, t) for pattern in user.publishes))


def consumed_by(user: User) -> tuple[str, ...]:
    """Return the event types that a user's durables or its own subscriptions deliver to it."""
    heard = (*user.subscribes, *(f for consumer in topology.consumers_of(user.name) for f in consumer.filters))
    return tuple(t for t in EVENTS if any(_speaks_of(pattern, t) for pattern in heard))


def _speaks_of(pattern: str, event_type: str) -> bool:
    return pattern.startswith(f"{subjects.ROOT}.{event_type}.")


def users() -> tuple[User, ...]:
    """Return everybody on the bus; one producer stands for all tenants."""
    return (*topology.SERVICES, *topology.PEOPLE, topology.producer("{tenant}"))


def asyncapi() -> dict[str, Any]:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tierproof",
            "version": "1",
            "description": "Events in CloudEvents 1.0 structured JSON on NATS JetStream. Each subject takes one message.",
        },
        "defaultContentType": "application/json",
        "channels": {event_type: _channel(event_type) for event_type in EVENTS},
        "operations": dict(_operations()),
        "components": {"messages": {event_type: _message(event_type) for event_type in EVENTS}},
    }


def _channel(event_type: str) -> dict[str, Any]:
    write = subject_function(event_type)
    return {
        "address": channel_address(event_type),
        "description": inspect.getdoc(write) or "",
        "parameters": {name: {"description": name.replace("_", " ")} for name in inspect.signature(write).parameters},
        "messages": {event_type: {"$ref": f"#/components/messages/{event_type}"}},
        "x-stream": topology.stream_of(channel_address(event_type)),
    }


def _message(event_type: str) -> dict[str, Any]:
    return {
        "name": event_type,
        "contentType": "application/json",
        "payload": {
            "schemaFormat": "application/schema+json;version=2020-12",
            "schema": {"$ref": f"./{schema_name(event_type)}"},
        },
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for user in users():
        name = user.name.replace("{tenant}", "tenant")
        for action, event_types in (("send", published_by(user)), ("receive", consumed_by(user))):
            for event_type in event_types:
                yield f"{name}.{action}.{event_type}", _operation(action, event_type)


def _operation(action: str, event_type: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{event_type}"},
        "messages": [{"$ref": f"#/channels/{event_type}/messages/{event_type}"}],
    }


def faults_of(document: dict[str, Any], schema_names: frozenset[str]) -> Iterator[str]:
    """Yield what is wrong with a document: references that lead nowhere, and addresses that NATS or our own rules refuse.

    `schema_names` are the files that stand beside it.
    """
    addresses = [channel["address"] for channel in document["channels"].values()]
    # Two addresses are one subject when they differ only in the names of their parameters.
    shapes = [re.sub(r"\{[^}]*\}", "*", address) for address in addresses]
    for address, shape in zip(addresses, shapes, strict=True):
        if shapes.count(shape) > 1:
            yield f"{address}: another channel has the same subject"
        if len(address) > LONGEST_SUBJECT:
            yield f"{address[:60]}...: a subject has at most {LONGEST_SUBJECT} characters"
        if address.count(".") >= MOST_TOKENS:
            yield f"{address}: a subject has at most {MOST_TOKENS} tokens"
    for reference in references_in(document):
        if not _resolves(document, reference, schema_names):
            yield f"{reference}: leads nowhere"


def references_in(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield every `$ref` of a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for part in node.values():
            yield from references_in(part)
    elif isinstance(node, list):
        for part in node:
            yield from references_in(part)


def _resolves(document: dict[str, Any], reference: str, schema_names: frozenset[str]) -> bool:
    if not reference.startswith("#/"):
        return reference.removeprefix("./") in schema_names
    node: Any = document
    for step in reference.removeprefix("#/").split("/"):
        if not isinstance(node, dict) or step not in node:
            return False
        node = node[step]
    return True
