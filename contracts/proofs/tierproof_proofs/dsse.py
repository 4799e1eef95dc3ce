"""Signed documents: DSSE v1 envelopes (https://github.com/secure-systems-lab/dsse)."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_proofs.encoding import base64_of
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.keys import Signer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPayload:
    """What trusted keys have signed, and the names under which those keys are trusted."""

    payload: bytes
    payload_type: str
    signed_by: frozenset[str]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what is signed. Lengths count bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, signers: Sequence[Signer]) -> dict[str, Any]:
    """Return the envelope as a JSON object."""
    message = pae(payload_type, payload)
    return {
        "payload": base64_of(payload),
        "payloadType": payload_type,
        "signatures": [{"keyid": signer.key_id, "sig": base64_of(signer.sign(message))} for signer in signers],
    }


def verify_envelope(
    envelope: Mapping[str, Any], trusted: Mapping[str, Verifier], threshold: int = 1
) -> VerifiedPayload:
    """Verify an envelope against trusted keys by name.

    Each key counts once, however many signatures it made and whatever key ids they name: a key id is only a hint.
    Wrong and unknown signatures are skipped. Raises Malformed or NotVerified.
    """
    payload_type = envelope.get("payloadType")
    signatures = envelope.get("signatures")
    if not isinstance(payload_type, str) or not isinstance(signatures, list | tuple):
        raise Malformed("envelope: payloadType and signatures are required")
    payload = _decoded(envelope.get("payload"), "payload")
    message = pae(payload_type, payload)
    made = [_decoded(part.get("sig") if isinstance(part, Mapping) else None, "sig") for part in signatures]
    signed_by = frozenset(name for name, key in trusted.items() if any(key.verify(message, raw) for raw in made))
    if len(signed_by) < max(threshold, 1):
        raise NotVerified(f"{len(signed_by)} trusted keys have signed, {max(threshold, 1)} are needed")
    return VerifiedPayload(payload=payload, payload_type=payload_type, signed_by=signed_by)


def _decoded(text: object, what: str) -> bytes:
    """Decode either base64 alphabet, as verifiers must."""
    if not isinstance(text, str):
        raise Malformed(f"envelope: {what} is required")
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/").encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Malformed(f"envelope: {what} is not base64") from None
