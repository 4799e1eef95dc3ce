"""The trust file: whom a reader believes. JSON, given to the reader once, by hand or at installation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tierproof_proofs.encoding import base64_of
from tierproof_proofs.errors import Malformed
from tierproof_proofs.keys import Ed25519Verifier
from tierproof_proofs.note import VerifierKey, parse_vkey
from tierproof_proofs.tlog_proof import LogPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The log's key, its witnesses and their quorum, reviewers by name, and keys that may sign documents, by name."""

    log: VerifierKey
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0
    reviewers: Mapping[str, Ed25519Verifier] = field(default_factory=dict)
    documents: Mapping[str, Ed25519Verifier] = field(default_factory=dict)

    @property
    def log_policy(self) -> LogPolicy:
        """What a log proof must show."""
        return LogPolicy(log=self.log, witnesses=self.witnesses, quorum=self.quorum)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read `{log, witnesses?, quorum?, reviewers?, documents?}`: vkeys, and raw Ed25519 keys in base64 by name.

        Raises Malformed, also for members that it does not know: one of them might have mattered.
        """
        try:
            members = json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed("trust file: not JSON") from None
        if not isinstance(members, dict) or not isinstance(members.get("log"), str):
            raise Malformed("trust file: `log` is required")
        if unknown := members.keys() - {"log", "witnesses", "quorum", "reviewers", "documents"}:
            raise Malformed(f"trust file: unknown members {', '.join(sorted(unknown))}")
        return cls(
            log=parse_vkey(members["log"]),
            witnesses=tuple(parse_vkey(_string(text, "witnesses")) for text in _list(members, "witnesses")),
            quorum=_count(members),
            reviewers=_keys(members, "reviewers"),
            documents=_keys(members, "documents"),
        )

    def to_json(self) -> str:
        """Return the file's text."""
        members = {
            "log": str(self.log),
            "witnesses": [str(key) for key in self.witnesses],
            "quorum": self.quorum,
            "reviewers": {name: base64_of(key.public_key) for name, key in self.reviewers.items()},
            "documents": {name: base64_of(key.public_key) for name, key in self.documents.items()},
        }
        return json.dumps(members, indent=2, sort_keys=True) + "\n"


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


def _count(members: dict[str, Any]) -> int:
    quorum = members.get("quorum", 0)
    if type(quorum) is not int or quorum < 0:
        raise Malformed("trust file: `quorum` is a number of witnesses")
    return quorum


def _string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"trust file: `{name}` holds keys as strings")
    return value
