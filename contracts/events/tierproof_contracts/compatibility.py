"""May a schema change in place? Pure, and on the safe side: what it cannot judge, it refuses.

An event outlives the release that wrote it, so a change must hold in both directions: old readers read new events, and new readers
replay old ones. A writer writes only the fields that it knows; a reader leaves unknown fields alone unless its schema forbids them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

ABSENT = object()
SAYS_NOTHING = {"$schema", "$defs", "$ref", "title", "description", "discriminator", "default"}
JUDGED = {"type", "const", "enum", "pattern", "format", "anyOf", "oneOf", "items", "properties", "required"}
JUDGED_OF_MAPS = {"additionalProperties", "patternProperties", "propertyNames"}
LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
KNOWN = SAYS_NOTHING | JUDGED | JUDGED_OF_MAPS | set(LOWER_BOUNDS) | set(UPPER_BOUNDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of a message: a schema node and the definitions that its references mean."""

    node: Schema
    definitions: Mapping[str, Schema]

    def at(self, node: Any) -> "Side":  # noqa: ANN401 - a schema, or true for anything
        """Return another node of the same schema, its references followed."""
        found: Schema = {} if node is True else node
        while "$ref" in found:
            target = self.definitions[found["$ref"].rsplit("/", 1)[-1]]
            beside = {key: value for key, value in found.items() if key != "$ref"}
            found = {**target, **beside} if beside.keys() <= SAYS_NOTHING else {"constraints beside $ref": True}
        return Side(node=found, definitions=self.definitions)

    def branches(self) -> list["Side"]:
        """Return the alternatives of a union; a node that is none is its only one."""
        for keyword in ("anyOf", "oneOf"):
            if keyword in self.node:
                return [self.at(branch) for branch in self.node[keyword]]
        return [self]


def incompatibilities(old: Schema, new: Schema, *, old_readers_read_new: bool = True) -> list[str]:
    """Return why `new` may not stand where `old` stood, each as `field: what is wrong`; empty when it may.

    A signed document is read by releases that know all of its fields, so its old readers do not count.
    """
    faults = [f"{fault} (a new reader would refuse an old message)" for fault in unread(writer=old, reader=new)]
    if old_readers_read_new:
        faults += [f"{fault} (an old reader would refuse a new message)" for fault in unread(writer=new, reader=old)]
    return faults


def unread(*, writer: Schema, reader: Schema) -> Iterator[str]:
    """Yield what the writer may write and the reader may refuse."""
    writes = Side(node=writer, definitions=writer.get("$defs", {}))
    reads = Side(node=reader, definitions=reader.get("$defs", {}))
    yield from _unread(writes.at(writer), reads.at(reader), "")


def _unread(writer: Side, reader: Side, where: str) -> Iterator[str]:
    strange = sorted(_strange(writer.node) | _strange(reader.node))
    if strange:
        yield f"{where}: {', '.join(strange)} cannot be judged"
        return
    written, read = writer.branches(), reader.branches()
    if len(written) == len(read) == 1:
        yield from _unread_plain(written[0], read[0], where)
        return
    for branch in written:
        refusals = [list(_unread(branch, candidate, where)) for candidate in read]
        if all(refusals):
            akin = [
                faults for candidate, faults in zip(read, refusals, strict=True) if _tags(candidate) == _tags(branch)
            ]
            yield from akin[0] if akin else [f"{where}: an alternative more"]


def _strange(node: Schema) -> set[str]:
    """Return the keywords that are not judged, alone or together."""
    union = {"anyOf", "oneOf"} & node.keys()
    both_ways = {"properties", "patternProperties"} <= node.keys()
    return (
        node.keys() - KNOWN
        | (union if node.keys() - SAYS_NOTHING - union else set())
        | ({"patternProperties"} if both_ways else set())
    )


def _tags(branch: Side) -> tuple[str, ...]:
    """Return what tells an alternative from the others: its type, and its fields of one fixed value."""
    fields: Schema = branch.node.get("properties", {})
    fixed = [f"{name}={field['const']}" for name, field in fields.items() if "const" in field]
    return (str(branch.node.get("type")), *sorted(fixed))


def _unread_plain(writer: Side, reader: Side, where: str) -> Iterator[str]:
    yield from _unread_values(writer.node, reader.node, where)
    yield from _unread_bounds(writer.node, reader.node, where)
    if "items" in reader.node:
        yield from _unread(writer.at(writer.node.get("items", True)), reader.at(reader.node["items"]), f"{where}[]")
    if reader.node.get("type") == "object":
        yield from _unread_fields(writer, reader, where)
        yield from _unread_maps(writer, reader, where)


def _values(node: Schema) -> list[Any] | None:
    return [node["const"]] if "const" in node else node.get("enum")


def _unread_values(writer: Schema, reader: Schema, where: str) -> Iterator[str]:
    if "type" in reader and reader["type"] != writer.get("type"):
        yield f"{where}: type {writer.get('type', 'any')} against {reader['type']}"
    allowed, written = _values(reader), _values(writer)
    if allowed is not None and (written is None or not _all_among(written, allowed)):
        yield f"{where}: other values than {allowed}"
    for keyword in ("pattern", "format"):
        if keyword in reader and reader[keyword] != writer.get(keyword):
            yield f"{where}: another {keyword}"


def _all_among(written: list[Any], allowed: list[Any]) -> bool:
    # By type as well: to Python, 1 is True.
    return {(type(value), value) for value in written} <= {(type(value), value) for value in allowed}


def _unread_bounds(writer: Schema, reader: Schema, where: str) -> Iterator[str]:
    for keyword in (*LOWER_BOUNDS, *UPPER_BOUNDS):
        if keyword not in reader:
            continue
        bound, limit = writer.get(keyword), reader[keyword]
        if bound is None or (bound < limit if keyword in LOWER_BOUNDS else bound > limit):
            yield f"{where}: {keyword} {'none' if bound is None else bound} against {limit}"


def _unread_fields(writer: Side, reader: Side, where: str) -> Iterator[str]:
    written, read = writer.node.get("properties", {}), reader.node.get("properties", {})
    sure = set(writer.node.get("required", ()))
    for name in reader.node.get("required", ()):
        if name not in sure:
            yield f"{_below(where, name)}: required here, not there; make the field optional"
    for name, field in written.items():
        inner = _below(where, name)
        if name in read:
            if name not in sure and field.get("default", ABSENT) != read[name].get("default", ABSENT):
                yield f"{inner}: another default"
            yield from _unread(writer.at(field), reader.at(read[name]), inner)
        elif reader.node.get("additionalProperties", True) is not True or "patternProperties" in reader.node:
            yield f"{inner}: not known there, where unknown fields are refused"


def _unread_maps(writer: Side, reader: Side, where: str) -> Iterator[str]:
    if "propertyNames" in reader.node:
        names = (writer.at(writer.node.get("propertyNames", True)), reader.at(reader.node["propertyNames"]))
        yield from _unread(*names, _below(where, "<name>"))
    written, read = _entries(writer.node), _entries(reader.node)
    closed = reader.node.get("additionalProperties") is False
    for pattern, entry in written.items():
        if pattern in read:
            yield from _unread(writer.at(entry), reader.at(read[pattern]), _below(where, "<entry>"))
        elif read or closed:
            yield f"{_below(where, '<name>')}: another form of names"
    held = read.keys() | reader.node.get("properties", {}).keys()
    if written and held - written.keys() - writer.node.get("properties", {}).keys():
        yield f"{_below(where, '<name>')}: some names are held to more than before"


def _entries(node: Schema) -> Schema:
    """Return what an object that serves as a table holds: a schema by pattern of names, `*` for every other name."""
    entries = dict(node.get("patternProperties", {}))
    others = node.get("additionalProperties", False)
    return entries if others is False else {**entries, "*": others}


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
