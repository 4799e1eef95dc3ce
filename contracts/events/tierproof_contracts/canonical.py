"""Canonical JSON: one value, one sequence of bytes.

RFC 8785 (JCS), narrowed to what contracts allow: ASCII keys, integers within 2^53, no floats. In that subset sorted keys,
no white space and the shortest escapes already are the RFC's bytes, which the tests compare with an independent implementation.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tierproof_contracts.errors import NotCanonical

LARGEST_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3: larger integers do not survive IEEE 754 readers


def refuse_ambiguous(value: Any, where: str = "") -> None:  # noqa: ANN401 - any JSON value
    """Raise NotCanonical at the first part of `value` that two JSON writers could write differently."""
    match value:
        case None | bool() | str():
            return
        case int() if abs(value) <= LARGEST_INTEGER:
            return
        case int():
            raise NotCanonical(f"{where or 'value'}: integer beyond 2^53; send it as a decimal string")
        case Mapping():
            if not all(isinstance(key, str) and key.isascii() for key in value):
                raise NotCanonical(f"{where or 'value'}: keys are ASCII strings")
            for key, inner in value.items():
                refuse_ambiguous(inner, f"{where}.{key}")
        case list() | tuple():
            for index, inner in enumerate(value):
                refuse_ambiguous(inner, f"{where}[{index}]")
        case _:
            raise NotCanonical(
                f"{where or 'value'}: {type(value).__name__} has no canonical form; use a decimal string"
            )


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return the RFC 8785 bytes of a JSON value.

    Raises NotCanonical for floats, integers beyond 2^53 and keys that are not ASCII.
    """
    refuse_ambiguous(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_digest(content: bytes) -> str:
    """Return `sha256:<64 hex>` of bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_of(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the digest of a JSON value's canonical bytes."""
    return sha256_digest(canonical_json(value))
