"""The trust file: whom a reader believes. JSON, given to the reader once, by hand or at installation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.x509 import load_pem_x509_certificate

from tierproof_proofs.encoding import base64_of
from tierproof_proofs.errors import Malformed
from tierproof_proofs.keys import Ed25519Verifier
from tierproof_proofs.log_key import LogKey, origin_of
from tierproof_proofs.note import ED25519, VerifierKey, parse_vkey
from tierproof_proofs.tlog_proof import LogPolicy

MEMBERS = {"log_keys", "witnesses", "quorum", "reviewers", "documents", "time_stamping"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Keys of the log, of its witnesses (and their quorum), of reviewers and signers of documents by name, of time stampers.

    `time_stamping` holds PEM certificates. Raises Malformed for what could never hold: a quorum above the number of witnesses.
    """

    log_keys: tuple[LogKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0
    reviewers: Mapping[str, Ed25519Verifier] = field(default_factory=dict)
    documents: Mapping[str, Ed25519Verifier] = field(default_factory=dict)
    time_stamping: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        origin = origin_of(self.log_keys)
        names = {key.name for key in self.witnesses}
        if origin in names:
            raise Malformed(f"trust file: {origin} cannot be its own witness")
        if any(key.algorithm == ED25519 for key in self.witnesses):
            raise Malformed("trust file: a witness cosigns with a key of type 0x04 or 0x06")
        if len(set(self.witnesses)) != len(self.witnesses):
            raise Malformed("trust file: a witness's key stands there twice")
        if not 0 <= self.quorum <= len(names):
            raise Malformed(f"trust file: a quorum of {self.quorum} cannot be reached by {len(names)} witnesses")

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.log_keys[0].key.name

    @property
    def log_policy(self) -> LogPolicy:
        """What a log proof must show."""
        return LogPolicy(log_keys=self.log_keys, witnesses=self.witnesses, quorum=self.quorum)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read `{log_keys, witnesses?, quorum?, reviewers?, documents?, time_stamping?}`.

        `log_keys` are `{key, from, until}`: a vkey and the sizes for which it signs; witnesses are vkeys; reviewers and documents
        are raw Ed25519 keys in base64 by name. Raises Malformed, also for members that it does not know: one might have mattered.
        """
        try:
            members = json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed("trust file: not JSON") from None
        if not isinstance(members, dict) or not members.get("log_keys"):
            raise Malformed("trust file: `log_keys` is required")
        _refuse_unknown(members, MEMBERS, "trust file")
        return cls(
            log_keys=tuple(map(_log_key, _list(members, "log_keys"))),
            witnesses=tuple(parse_vkey(_string(text, "witnesses")) for text in _list(members, "witnesses")),
            quorum=_number(members.get("quorum", 0), "quorum"),
            reviewers=_keys(members, "reviewers"),
            documents=_keys(members, "documents"),
            time_stamping=tuple(_certificate(each) for each in _list(members, "time_stamping")),
        )

    def to_json(self) -> str:
        """Return the file's text."""
        members = {
            "log_keys": [{"key": str(each.key), "from": each.since, "until": each.until} for each in self.log_keys],
            "witnesses": [str(key) for key in self.witnesses],
            "quorum": self.quorum,
            "reviewers": {name: base64_of(key.public_key) for name, key in self.reviewers.items()},
            "documents": {name: base64_of(key.public_key) for name, key in self.documents.items()},
            "time_stamping": list(self.time_stamping),
        }
        return json.dumps(members, indent=2, sort_keys=True) + "\n"


def _log_key(members: object) -> LogKey:
    if not isinstance(members, dict) or members.keys() != {"key", "from", "until"}:
        raise Malformed("trust file: a member of `log_keys` has `key`, `from` and `until`, and nothing else")
    until = members["until"]
    return LogKey(
        key=parse_vkey(_string(members["key"], "log_keys")),
        since=_number(members["from"], "from"),
        until=None if until is None else _number(until, "until"),
    )


def _certificate(text: object) -> str:
    pem = _string(text, "time_stamping")
    try:
        load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise Malformed("trust file: `time_stamping` holds certificates in PEM") from None
    return pem


def _refuse_unknown(members: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := members.keys() - known:
        raise Malformed(f"{what}: unknown members {', '.join(sorted(unknown))}")


def _keys(members: dict[str, Any], name: str) -> dict[str, Ed25519Verifier]:
    found = members.get(name, {})
    if not isinstance(found, dict):
        raise Malformed(f"trust file: `{name}` is an object of keys by name")
    return {owner: Ed25519Verifier.from_base64(_string(key, name)) for owner, key in found.items()}


def _list(members: dict[str, Any], name: str) -> list[Any]:
    found = members.get(name, [])
    if not isinstance(found, list):
        raise Malformed(f"trust file: `{name}` is a list")
    return found


def _number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise Malformed(f"trust file: `{name}` is a number from zero")
    return value


def _string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"trust file: `{name}` holds strings")
    return value
