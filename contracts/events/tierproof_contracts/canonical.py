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
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def ambiguity(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Return what lets two JSON writers write this one value differently, its parts aside; None when nothing does."""
    match value:
        case None | bool() | str():
            return None
        case int():
            return None if abs(value) <= LARGEST_INTEGER else "integer beyond 2^53; send it as a decimal string"
        case Mapping():
            plain = all(isinstance(key, str) and key.isascii() for key in value)
            return None if plain else "keys are ASCII strings"
        case list() | tuple():
            return None
        case _:
            return f"{type(value).__name__} has no canonical form; use a decimal string"


def _is_plain(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tell quickly, for the types that a JSON reader makes, that nothing is ambiguous; False leaves the question open."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is dict:
        return all(type(key) is str and key.isascii() and _is_plain(part) for key, part in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return kind is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER


def refuse_ambiguous(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Raise NotCanonical, naming the place, at the first part of `value` that two JSON writers could write differently."""
    if not _is_plain(value):
        _refuse_at("", value)


def _refuse_at(where: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    found = ambiguity(value)
    if found is not None:
        raise NotCanonical(f"{where or 'value'}: {found}")
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, part in parts:
        _refuse_at(f"{where}.{name}" if where else str(name), part)


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return the RFC 8785 bytes of a JSON value.

    Raises NotCanonical for floats, integers beyond 2^53 and keys that are not ASCII.
    """
    refuse_ambiguous(value)
    return _ENCODER.encode(value).encode()


def sha256_digest(content: bytes) -> str:
    """Return `sha256:<64 hex>` of bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_of(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the digest of a JSON value's canonical bytes."""
    return sha256_digest(canonical_json(value))
