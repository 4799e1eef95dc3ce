"""What the bus needs of a broker, as a port, and JetStream behind it. The in-memory one is in `testing.py`."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesParser
from typing import Any, Protocol

from nats.aio.msg import Msg

from tierproof_bus.errors import NotPermitted, Refused, TooLarge, Transient
from tierproof_bus.link import Link
from tierproof_bus.messages import Raw

WRONG_LAST_SEQUENCE = 10071
STORE_FAILED = 10077  # also "maximum messages per subject exceeded"
TOO_LARGE = 10054
NOT_FOUND = 10037
UNAVAILABLE = 503
STATUS_NOT_FOUND = ("404", "408")
WILDCARDS = frozenset({"*", ">"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The broker stored the message, or knows its id already (`duplicate`)."""

    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Another message holds the subject."""

    detail: str


class Streams(Protocol):
    """The three things that publishing and reading need of a broker."""

    @property
    def user(self) -> str:
        """The name under which this side speaks."""

    async def append(self, stream: str, subject: str, content: bytes, headers: dict[str, str]) -> Appended | Taken:
        """Store a message; raises Transient, TooLarge, NotPermitted, Refused."""

    async def last(self, stream: str, subject: str) -> Raw | None:
        """Return the last message of a subject, or of a subject pattern; raises Transient, NotPermitted."""

    async def at(self, stream: str, sequence: int) -> Raw | None:
        """Return the message at a sequence; raises Transient, NotPermitted."""


class JetStreams:
    """JetStream over one user's connection, in plain API requests (nats-py lacks some of the fields)."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def user(self) -> str:
        """The NATS user."""
        return self._link.user

    async def append(self, stream: str, subject: str, content: bytes, headers: dict[str, str]) -> Appended | Taken:
        """Publish and wait for the PubAck."""
        named = {"Nats-Expected-Stream": stream, **headers}
        reply = answer_of(await self._link.ask(subject, content, named))
        if "error" not in reply:
            return Appended(sequence=int(reply["seq"]), duplicate=bool(reply.get("duplicate")))
        error = reply["error"]
        described = str(error.get("description", ""))
        match error.get("err_code"):
            case int(code) if code == WRONG_LAST_SEQUENCE or (code == STORE_FAILED and "per subject" in described):
                return Taken(detail=described)
            case int(code) if code == TOO_LARGE:
                raise TooLarge(subject, len(content), self._link.largest)
        if int(error.get("code", 0)) >= UNAVAILABLE or error.get("err_code") == STORE_FAILED:
            raise Transient(f"{subject}: {described}")
        raise Refused(f"{subject}: {described} (code {error.get('err_code')})")

    async def last(self, stream: str, subject: str) -> Raw | None:
        """Ask any replica, and the stream's leader when that one has nothing: replicas may lag behind."""
        wanted = {"last_by_subj": subject}
        if WILDCARDS & set(subject.split(".")):
            return await self._get(stream, f"$JS.API.DIRECT.GET.{stream}", wanted, wanted)
        # Asked this way, permissions can tell whose subject is read.
        return await self._get(stream, f"$JS.API.DIRECT.GET.{stream}.{subject}", {}, wanted)

    async def at(self, stream: str, sequence: int) -> Raw | None:
        """Ask any replica, and the stream's leader when that one has nothing."""
        wanted = {"seq": sequence}
        return await self._get(stream, f"$JS.API.DIRECT.GET.{stream}", wanted, wanted)

    async def _get(self, stream: str, direct: str, asked: dict[str, Any], wanted: dict[str, Any]) -> Raw | None:
        reply = await self._link.ask(direct, json.dumps(asked).encode() if asked else b"")
        found = _from_replica(reply, stream)
        if found is not None:
            return found
        try:
            reply = await self._link.ask(f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps(wanted).encode())
        except NotPermitted:  # a tenant reads its own subjects only, from replicas
            return None
        return _from_leader(answer_of(reply), stream)


def answer_of(reply: Msg) -> dict[str, Any]:
    """Return a JetStream API answer; raises Transient when it is none."""
    try:
        answer = json.loads(reply.data)
    except ValueError:
        raise Transient("the broker's answer is not JSON") from None
    if not isinstance(answer, dict):
        raise Transient("the broker's answer is not an object")
    return answer


def _from_replica(reply: Msg, stream: str) -> Raw | None:
    headers: Mapping[str, str] = reply.headers or {}
    if "Nats-Sequence" not in headers:
        if headers.get("Status") in STATUS_NOT_FOUND:
            return None
        raise Transient(f"{stream}: direct get answered {headers.get('Status')} {headers.get('Description', '')}")
    return Raw(
        subject=headers["Nats-Subject"],
        content=reply.data or b"",
        stream=stream,
        sequence=int(headers["Nats-Sequence"]),
        stored_at=instant_of(headers["Nats-Time-Stamp"]),
        headers=dict(headers),
    )


def _from_leader(answer: dict[str, Any], stream: str) -> Raw | None:
    if "error" in answer:
        if answer["error"].get("err_code") == NOT_FOUND:
            return None
        raise Transient(f"{stream}: {answer['error'].get('description')}")
    message = answer["message"]
    return Raw(
        subject=message["subject"],
        content=base64.b64decode(message.get("data", "")),
        stream=stream,
        sequence=int(message["seq"]),
        stored_at=instant_of(message["time"]),
        headers=_headers_of(base64.b64decode(message.get("hdrs", ""))),
    )


def _headers_of(block: bytes) -> dict[str, str]:
    _version, _, rest = block.partition(b"\r\n")
    return dict(BytesParser().parsebytes(rest).items())


def instant_of(text: str) -> datetime:
    """Return an RFC 3339 time stamp as UTC; digits below a microsecond are cut."""
    return datetime.fromisoformat(text).astimezone(UTC)
