"""Texts of tasks: carried in full to who must read them, and named everywhere else by a keyed commitment.

A plain hash of a short text can be guessed; HMAC-SHA256 (RFC 2104) under a random salt cannot. The salt travels with the text
and is erased with it, after which the commitment tells nothing and every proof over it still holds.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tierproof_contracts.ids import Commitment

Salt = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_SALT = re.compile("[0-9a-f]{32}")
_BARE = frozenset({str, int, bool, type(None)})  # values without parts

LARGEST_INLINE = 256 * 1024  # bytes of one task's texts that travel inside events; larger ones will travel by digest


def commitment_to(text: str, salt: str) -> str:
    """Return `hmac-sha256:<hex>` of a text under its salt."""
    return "hmac-sha256:" + hmac.new(bytes.fromhex(salt), text.encode(), hashlib.sha256).hexdigest()


def derived_salt(salt: str, purpose: str) -> str:
    """Return a salt for a text that follows from another one: secret as its origin, equal on every replay."""
    return hmac.new(bytes.fromhex(salt), purpose.encode(), hashlib.sha256).hexdigest()[:32]


class TextRef(BaseModel):
    """A text named by its commitment; `size` in bytes of UTF-8."""

    model_config = ConfigDict(frozen=True)

    commitment: Commitment
    size: int = Field(ge=0)


class Text(BaseModel):
    """A text with the salt of its commitment."""

    model_config = ConfigDict(frozen=True)

    text: str
    salt: Salt

    @property
    def size(self) -> int:
        """Bytes of UTF-8."""
        return len(self.text.encode())

    def ref(self) -> TextRef:
        """Return what may be written where the text itself may not."""
        return TextRef(commitment=commitment_to(self.text, self.salt), size=self.size)


def is_text(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether a JSON value is a carried text, and not an object that happens to have the same keys (named inputs, say)."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("text"), str)
        and isinstance(value.get("salt"), str)
        and _SALT.fullmatch(value["salt"]) is not None
    )


def sealed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with each carried text replaced by its commitment and size."""
    if type(value) in _BARE:
        return value
    if is_text(value):
        # What a later release says beside a text stays; the text goes all the same.
        beside = {key: sealed(inner) for key, inner in value.items() if key not in {"text", "salt"}}
        return {
            **beside,
            "commitment": commitment_to(value["text"], value["salt"]),
            "size": len(value["text"].encode()),
        }
    if isinstance(value, Mapping):
        return {key: sealed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [sealed(inner) for inner in value]
    return value


def texts_in(value: Any) -> dict[str, Text]:  # noqa: ANN401 - any JSON value
    """Return every carried text of a JSON value by commitment."""
    if is_text(value):
        return {commitment_to(value["text"], value["salt"]): Text(text=value["text"], salt=value["salt"])}
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {commitment: text for part in inner for commitment, text in texts_in(part).items()}
