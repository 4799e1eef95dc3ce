"""PKCS#11 URIs: which key in which token, by which module, with whose PIN. Pure. RFC 7512.

`pkcs11:token=ledger;object=log?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin`
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from tierproof_evidence_ledger.errors import NotConfigured

SCHEME: Final = "pkcs11:"
PATH_ATTRIBUTES: Final = frozenset({"token", "serial", "object", "id", "type"})
QUERY_ATTRIBUTES: Final = frozenset({"module-path", "pin-source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A private key in a token: the token by label or serial number, the key by label or id; a module; a file with the PIN."""

    module: Path
    pin_file: Path
    token: str | None = None
    serial: bytes | None = None
    label: str | None = None
    id: bytes | None = None

    def __str__(self) -> str:
        """Return words for a message; nothing in them is secret."""
        key = self.label if self.label is not None else f"id {(self.id or b'').hex()}"
        token = self.token if self.token is not None else f"serial {(self.serial or b'').decode(errors='replace')}"
        return f"key {key} in token {token}"


def is_uri(where: str) -> bool:
    """Tell a PKCS#11 URI from a path."""
    return where.lower().startswith(SCHEME)


def parse_uri(uri: str) -> TokenKey:
    """Read a URI; raises NotConfigured, also for attributes that would be ignored: they might have mattered."""
    if not is_uri(uri):
        raise NotConfigured("not a PKCS#11 URI: it starts with pkcs11:")
    path, _, query = uri[len(SCHEME) :].partition("?")
    key = _attributes(path, ";", PATH_ATTRIBUTES)
    access = _attributes(query, "&", QUERY_ATTRIBUTES)
    if not key.keys() & {"token", "serial"} or not key.keys() & {"object", "id"}:
        raise NotConfigured("PKCS#11 URI: name the token (token= or serial=) and the key (object= or id=)")
    if key.get("type", b"private") != b"private":
        raise NotConfigured("PKCS#11 URI: type is private, or left out")
    return TokenKey(
        module=_file(access, "module-path"),
        pin_file=_file(access, "pin-source"),
        token=_text(key, "token"),
        serial=key.get("serial"),
        label=_text(key, "object"),
        id=key.get("id"),
    )


def _attributes(part: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in filter(None, part.split(separator)):
        name, equals, value = each.partition("=")
        if name == "pin-value":
            raise NotConfigured(
                "PKCS#11 URI: a PIN stands in no setting; write it to a file of mode 0600 and name that as pin-source"
            )
        if name not in known or not equals:
            raise NotConfigured(f"PKCS#11 URI: {name} is not among {', '.join(sorted(known))}")
        if name in found:
            raise NotConfigured(f"PKCS#11 URI: {name} stands there twice")
        found[name] = unquote_to_bytes(value)
    return found


def _text(attributes: dict[str, bytes], name: str) -> str | None:
    try:
        return attributes[name].decode() if name in attributes else None
    except UnicodeDecodeError:
        raise NotConfigured(f"PKCS#11 URI: {name} is not UTF-8") from None


def _file(attributes: dict[str, bytes], name: str) -> Path:
    """Return an absolute path, given as such or as a file: URI."""
    text = (_text(attributes, name) or "").removeprefix("file://").removeprefix("file:")
    if not text.startswith("/") or "\0" in text:
        raise NotConfigured(f"PKCS#11 URI: {name} is the absolute path of a file")
    return Path(text)
