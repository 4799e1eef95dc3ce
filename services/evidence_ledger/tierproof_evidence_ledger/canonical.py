"""From a message to the canonical bytes of its entry. Pure.

An entry is one canonical JSON object (RFC 8785, as tierproof_contracts.canonical narrows it):
`{entry, kind, recorded_at, received_at, stream, stream_created, stream_seq, subject, ...}` and, by kind,
`event` the envelope as received, texts replaced by commitments   `event`, `conflict`, `release`
`sha256`, `size`, `reason` of bytes that are no event             `rejected`
`advisory` what the broker says of a delivery                     `advisory`
and of kind `act` what the ledger or its people did (`acts.py`).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import ValidationError
from tierproof_contracts.canonical import ambiguity
from tierproof_contracts.catalogue import EVENTS, envelope_of
from tierproof_contracts.envelope import parse_json
from tierproof_contracts.errors import ContractError
from tierproof_contracts.text import commitment_to, is_text

from tierproof_evidence_ledger.columns import LONGEST, too_long

ENTRY_VERSION = 1
LARGEST_ENTRY = 0xFFFF  # bytes; what an entry bundle can hold (c2sp.org/tlog-tiles)
OWN_EVENTS = frozenset({"result.released.v1", "evidence.checkpointed.v1"})
DEEPEST = 64
_ENVELOPES = {name: envelope_of(event) for name, event in EVENTS.items() if name not in OWN_EVENTS}
ADVISORY_SUBJECT = "$JS.EVENT.ADVISORY."
ADVISORY_MEMBERS = ("type", "id", "timestamp", "stream", "consumer", "stream_seq", "deliveries", "reason")
Kind = Literal["event", "conflict", "rejected", "advisory", "release"]
_SUBMISSION = re.compile(r"tierproof\.task\.submitted\.v1\.([a-z0-9-]{1,32})\.(\1_[0-9a-f]{32})")
_FIELD = re.compile(r"[a-z_][a-z0-9_]{0,31}")


@dataclass(slots=True, kw_only=True)
class Delivered:
    """A message as the broker delivered it. `stream` is the stream's name, `created` when it was made, both as the broker says."""

    stream: str
    created: str
    sequence: int
    subject: str
    stored_at: str
    content: bytes
    _reading: "Said | Advised | Unreadable | None" = field(default=None, compare=False, repr=False)

    @property
    def stream_identity(self) -> tuple[str, str]:
        """The stream's name and creation time: a stream that was made anew counts from 1 again."""
        return self.stream, self.created

    def read(self) -> "Said | Advised | Unreadable":
        """Read the message, once; see `read`."""
        if self._reading is None:
            self._reading = read(self)
        return self._reading


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedText:
    """A text that a message carries, with the salt of its commitment."""

    commitment: str
    text: str
    salt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An event: its envelope with texts sealed, the digest of what it says, and the texts."""

    event_id: str
    event_type: str
    digest: str
    envelope: dict[str, Any]
    texts: tuple[CarriedText, ...]

    @property
    def data(self) -> dict[str, Any]:
        """What the event says, texts sealed."""
        data: dict[str, Any] = self.envelope["data"]
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """The broker's word on a delivery: no event of ours, and no text in it."""

    members: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Bytes that are no event, or one that lies on a subject that it does not lead to. `reason` holds no values."""

    reason: str


class _Refused(Exception):
    """A way out of the recursion, never seen outside."""


def read(message: Delivered) -> Said | Advised | Unreadable:
    """Read a message; whatever is wrong with it becomes a reason, never an exception."""
    try:
        if message.subject.startswith(ADVISORY_SUBJECT):
            return _advised(parse_json(message.content))
        return _said(message)
    except ValidationError as error:
        return Unreadable(reason=_faults(error))
    except (_Refused, ContractError, orjson.JSONEncodeError, ValueError, RecursionError) as error:
        words = str(error) if isinstance(error, _Refused | ContractError) else type(error).__name__
        return Unreadable(reason=_plain(words))


def canonical(value: dict[str, Any]) -> bytes:
    """Return the canonical bytes of a value that `sealed_value` has passed (or that holds only plain strings and integers)."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest_of_said(event_type: str, data: Mapping[str, Any]) -> str:
    """Return the digest by which a citation names an event (tierproof_contracts.envelope.data_digest of sealed data)."""
    return "sha256:" + hashlib.sha256(canonical({"type": event_type, "data": data})).hexdigest()


def entry_of(message: Delivered, reading: Said | Advised | Unreadable, kind: Kind, recorded_at: str) -> bytes:
    """Return the canonical bytes of a message's entry."""
    entry: dict[str, Any] = {
        "entry": ENTRY_VERSION,
        "kind": kind,
        "recorded_at": recorded_at,
        "received_at": message.stored_at,
        "stream": message.stream,
        "stream_created": message.created,
        "stream_seq": message.sequence,
        "subject": _plain(message.subject),
    }
    match reading:
        case Said():
            entry["event"] = reading.envelope
        case Advised():
            entry["advisory"] = reading.members
        case Unreadable():
            entry |= {
                "reason": reading.reason,
                "sha256": hashlib.sha256(message.content).hexdigest(),
                "size": len(message.content),
            }
            if task := _SUBMISSION.fullmatch(message.subject):
                entry["task_id"] = task[2]
    return canonical(entry)


def unfit(content: bytes) -> str | None:
    """Return why bytes cannot be an entry: larger than a bundle holds, or with a value that no index holds; None for most."""
    if len(content) > LARGEST_ENTRY:
        return f"an entry of {len(content)} bytes"
    name = too_long(orjson.loads(content)) if len(content) > LONGEST else None
    return None if name is None else f"{name}: too long to be searched"


def release_entry(event: Mapping[str, Any], review: Mapping[str, Any] | None, recorded_at: str) -> bytes:
    """Return the canonical bytes of a release: the sealed `result.released.v1` envelope, and the confirming review's data."""
    entry: dict[str, Any] = {
        "entry": ENTRY_VERSION,
        "kind": "release",
        "recorded_at": recorded_at,
        "event": sealed_value(event, {}),
    }
    if review is not None:
        entry["review"] = review
    return canonical(entry)


def sealed_value(value: Any, texts: dict[str, CarriedText], depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with texts sealed, collecting them; dicts and lists are altered in place.

    Raises for what has no canonical form or no place in a column.
    """
    if type(value) is dict:
        return _sealed_members(value, texts, depth)
    if type(value) is list:
        for index, inner in enumerate(value):
            value[index] = sealed_value(inner, texts, depth + 1)
    else:
        _refuse_unfit(value)
    return value


def _sealed_members(value: dict[str, Any], texts: dict[str, CarriedText], depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise _Refused(f"nested deeper than {DEEPEST}")
    if type(value.get("text")) is str or type(value.get("salt")) is str:
        return _sealed(value, texts, depth)
    names = "".join(value)
    if not names.isascii() or "\x00" in names:
        raise _Refused("keys are ASCII strings without NUL")
    for key, inner in value.items():
        kind = type(inner)
        if kind is dict:
            value[key] = _sealed_members(inner, texts, depth + 1)
        elif kind is list:
            sealed_value(inner, texts, depth + 1)
        elif kind is not str or "\x00" in inner:
            _refuse_unfit(inner)
    return value


def _refuse_unfit(value: Any) -> None:  # noqa: ANN401 - any JSON value without parts
    if type(value) is str:
        if "\x00" in value:
            raise _Refused("a NUL character outside a text")
    elif found := ambiguity(value):
        raise _Refused(found)


def _parsed(content: bytes) -> dict[str, Any]:
    """Read a JSON object as `parse_json` does, quickly where the bytes are those that a plain writer would write.

    What comes out equal again has no key twice, for one of the two would be gone, and no number in another form.
    """
    try:
        value = orjson.loads(content)
        if type(value) is dict and orjson.dumps(value) == content:
            return value
    except orjson.JSONDecodeError:
        pass
    return parse_json(content)


def _said(message: Delivered) -> Said:
    parsed = _parsed(message.content)
    event_type = parsed.get("type")
    form = _ENVELOPES.get(event_type) if isinstance(event_type, str) else None
    if form is None:
        raise _Refused("type: not known to this release, or not for the ledger")
    envelope = form.model_validate_json(message.content, strict=True)
    if envelope.data.subject() != message.subject:
        raise _Refused("the event does not belong on this subject")
    datetime.fromisoformat(envelope.time)  # a day that the calendar does not have raises ValueError
    texts: dict[str, CarriedText] = {}
    sealed = _sealed_members(parsed, texts, 0)
    return Said(
        event_id=envelope.id,
        event_type=envelope.type,
        digest=digest_of_said(envelope.type, sealed["data"]),
        envelope=sealed,
        texts=tuple(texts.values()),
    )


def _advised(parsed: dict[str, Any]) -> Advised:
    members = {name: parsed[name] for name in ADVISORY_MEMBERS if isinstance(parsed.get(name), str | int)}
    return Advised(members=sealed_value(members, {}))


def _sealed(value: dict[str, Any], texts: dict[str, CarriedText], depth: int) -> dict[str, Any]:
    """Seal a text as tierproof_contracts.text.sealed does; one without a usable salt would stay in clear and is refused."""
    if not is_text(value):
        raise _Refused("a text without its salt")
    text, salt = value.pop("text"), value.pop("salt")
    commitment = commitment_to(text, salt)
    texts[commitment] = CarriedText(commitment=commitment, text=text, salt=salt)
    if value:
        _sealed_members(value, texts, depth)
    value |= {"commitment": commitment, "size": len(text.encode())}
    return value


def _faults(error: ValidationError) -> str:
    """Return the fields at fault. Names that no contract would use are left out: they may hold a text."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False)[:3]:
        place = ".".join(str(part) if _is_field(part) else "?" for part in fault["loc"])
        faults.append(f"{place or 'message'}: {fault['type']}")
    return "; ".join(faults)


def _is_field(part: int | str) -> bool:
    return isinstance(part, int) or _FIELD.fullmatch(part) is not None


def _plain(words: str) -> str:
    """Return words that any column and any reader can hold."""
    return words.replace("\x00", "").encode("utf-8", "replace").decode()[:300]
