"""Signed statements about artifacts: in-toto Statement v1 (https://in-toto.io/Statement/v1) in a DSSE envelope.

A statement says of files or data sets, named by digest, what its predicate says. Its bytes are JSON with sorted keys and no white space.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_proofs.dsse import sign_envelope, verify_envelope
from tierproof_proofs.errors import Malformed
from tierproof_proofs.keys import Signer, Verifier

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"  # the type of predicates that say who built an artifact, from what
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What was said of `subjects` (name -> `sha256:...`), and the exact bytes that were signed."""

    subjects: Mapping[str, str]
    predicate_type: str
    predicate: Mapping[str, Any]
    payload: bytes
    signed_by: frozenset[str]


def statement_bytes(subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    """Return the bytes of a statement. Raises Malformed for a digest that is not `sha256:` and 64 hex digits."""
    said = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _hex_of(digest)}} for name, digest in sorted(subjects.items())],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sign_statement(payload: bytes, signers: Sequence[Signer]) -> dict[str, Any]:
    """Return a statement's DSSE envelope as a JSON object."""
    return sign_envelope(PAYLOAD_TYPE, payload, signers)


def verify_statement(
    envelope: Mapping[str, Any], trusted: Mapping[str, Verifier], predicate_type: str, *, threshold: int = 1
) -> Statement:
    """Verify an envelope and return what it says. Raises Malformed (not such a statement) or NotVerified.

    The caller compares the subjects' digests with the artifact: a signature alone says nothing about a file.
    """
    verified = verify_envelope(envelope, trusted, threshold)
    if verified.payload_type != PAYLOAD_TYPE:
        raise Malformed(f"envelope: payloadType is {verified.payload_type!r}, not {PAYLOAD_TYPE}")
    try:
        said = json.loads(verified.payload)
        subjects = {part["name"]: f"sha256:{part['digest']['sha256']}" for part in said["subject"]}
        found, predicate = said["predicateType"], said["predicate"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Malformed("envelope: its payload is not an in-toto statement") from None
    if said.get("_type") != STATEMENT or found != predicate_type or not isinstance(predicate, dict) or not subjects:
        raise Malformed(f"envelope: not a statement of the type {predicate_type}")
    for digest in subjects.values():
        _hex_of(digest)
    return Statement(
        subjects=subjects,
        predicate_type=found,
        predicate=predicate,
        payload=verified.payload,
        signed_by=verified.signed_by,
    )


def _hex_of(digest: str) -> str:
    digits = digest.removeprefix("sha256:")
    if len(digits) != _SHA256_DIGITS or digits.strip("0123456789abcdef"):
        raise Malformed(f"subject: {digest[:80]!r} is not sha256: and 64 hex digits")
    return digits
