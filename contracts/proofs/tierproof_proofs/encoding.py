"""Strict readings of what the C2SP formats write: canonical base64, decimal numbers within 64 bits."""

import base64
import binascii
import re

from tierproof_proofs.errors import Malformed

LARGEST_NUMBER = 2**64 - 1
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,19})", re.ASCII)


def base64_of(content: bytes) -> str:
    """Return standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(content).decode("ascii")


def bytes_of_base64(text: str, what: str) -> bytes:
    """Decode standard base64; raises Malformed for another alphabet, missing padding or stray low bits."""
    try:
        content = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Malformed(f"{what}: not standard base64") from None
    if base64_of(content) != text:
        raise Malformed(f"{what}: base64 with stray bits")
    return content


def number_of(text: str, what: str) -> int:
    """Read an ASCII decimal number below 2^64 without sign or leading zeroes; raises Malformed."""
    if _NUMBER.fullmatch(text) is None or int(text) > LARGEST_NUMBER:
        raise Malformed(f"{what}: not a decimal number below 2^64")
    return int(text)
