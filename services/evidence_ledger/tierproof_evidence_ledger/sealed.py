"""Texts at rest: AES-256-GCM (NIST SP 800-38D) under a key per task, derived (HKDF-Expand, RFC 5869) from the key of its tenant.

The tenant's key is random and wrapped by a key file. Erasing it makes the tenant's texts noise for ever; commitments and proofs
stay as they are.
"""

import os
import secrets
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from tierproof_contracts.text import Text, commitment_to
from tierproof_proofs.keys import write_secret

from tierproof_evidence_ledger.canonical import CarriedText
from tierproof_evidence_ledger.errors import NotConfigured, TextUnreadable

KEY_SIZE = 32
NONCE_SIZE = 12
OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A tenant's key under the key file's: nonce, then ciphertext bound to key id and tenant."""

    key_id: uuid.UUID
    tenant: str
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedText:
    """A text under its task's key, bound to its commitment."""

    commitment: str
    tenant: str
    task_id: str
    key_id: uuid.UUID
    nonce: bytes
    ciphertext: bytes


class Vault:
    """Seals and opens texts, under keys that it unwraps with its own."""

    def __init__(self, key_encryption_key: bytes) -> None:
        self._wrapping = AESGCM(key_encryption_key)

    @classmethod
    def at(cls, path: Path) -> "Vault":
        """Open the vault of a key file, made at the first call; raises NotConfigured when it is unfit."""
        if not path.exists():
            write_secret(path, secrets.token_bytes(KEY_SIZE))
        if path.stat().st_mode & OTHERS:
            raise NotConfigured(f"{path}: others may read this key; chmod 600 it, or make a new one")
        content = path.read_bytes()
        if len(content) != KEY_SIZE:
            raise NotConfigured(f"{path}: a key of {KEY_SIZE} bytes is needed, {len(content)} are in it")
        return cls(content)

    @classmethod
    def there(cls, path: Path | None) -> "Vault | None":
        """Open the vault of a key file that is there, None where there is none; raises NotConfigured when it is unfit."""
        return cls.at(path) if path is not None and path.exists() else None

    def new_key(self, tenant: str) -> WrappedKey:
        """Make a key for a tenant."""
        key_id, nonce = uuid.uuid4(), os.urandom(NONCE_SIZE)
        key = AESGCM.generate_key(bit_length=KEY_SIZE * 8)
        wrapped = nonce + self._wrapping.encrypt(nonce, key, _bound(key_id, tenant))
        return WrappedKey(key_id=key_id, tenant=tenant, wrapped=wrapped)

    def seal(self, carried: Iterable[tuple[str, CarriedText]], key: WrappedKey) -> list[SealedText]:
        """Encrypt texts of a tenant with their salts, each under the key of its task; `carried` are (task id, text)."""
        tenant_key = self._unwrapped(key)
        ciphers: dict[str, AESGCM] = {}
        sealed = []
        for task_id, text in carried:
            if task_id not in ciphers:
                ciphers[task_id] = _cipher_of(tenant_key, task_id)
            nonce = os.urandom(NONCE_SIZE)
            plain = orjson.dumps((text.text, text.salt))
            ciphertext = ciphers[task_id].encrypt(nonce, plain, text.commitment.encode())
            sealed.append(
                SealedText(
                    commitment=text.commitment,
                    tenant=key.tenant,
                    task_id=task_id,
                    key_id=key.key_id,
                    nonce=nonce,
                    ciphertext=ciphertext,
                )
            )
        return sealed

    def open(self, sealed: SealedText, key: WrappedKey) -> Text:
        """Decrypt a text and check its commitment; raises TextUnreadable."""
        return self.tenant_key(key).open(sealed)

    def tenant_key(self, key: WrappedKey) -> "TenantKey":
        """Unwrap a key to open many texts with; raises TextUnreadable."""
        return TenantKey(tenant=key.tenant, _key=self._unwrapped(key))

    def _unwrapped(self, key: WrappedKey) -> bytes:
        """Unwrap a key, each time anew: an erased one must not live on in memory."""
        nonce, wrapped = key.wrapped[:NONCE_SIZE], key.wrapped[NONCE_SIZE:]
        try:
            return self._wrapping.decrypt(nonce, wrapped, _bound(key.key_id, key.tenant))
        except (InvalidTag, ValueError):  # ValueError: it is too short for a nonce
            raise TextUnreadable(f"key {key.key_id}: wrapped by another key file, or altered") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantKey:
    """A tenant's key, unwrapped: for as long as a look at texts takes, no longer."""

    tenant: str
    _key: bytes = field(repr=False)

    def open(self, sealed: SealedText) -> Text:
        """Decrypt a text of the tenant and check its commitment; raises TextUnreadable."""
        if sealed.tenant != self.tenant:
            raise TextUnreadable(
                f"{sealed.commitment}: stored as a text of {sealed.tenant}, under a key of {self.tenant}"
            )
        try:
            cipher = _cipher_of(self._key, sealed.task_id)
            plain = cipher.decrypt(sealed.nonce, sealed.ciphertext, sealed.commitment.encode())
        except (InvalidTag, ValueError):  # ValueError: the nonce is no nonce
            raise TextUnreadable(f"{sealed.commitment}: the stored text was altered, or the key is another") from None
        text, salt = orjson.loads(plain)
        if commitment_to(text, salt) != sealed.commitment:
            raise TextUnreadable(f"{sealed.commitment}: the stored text is another one")
        return Text(text=text, salt=salt)


def commitments_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the commitments of sealed texts in a JSON value, in no order."""
    left = [value]
    while left:
        part = left.pop()
        if type(part) is dict:
            if type(part.get("commitment")) is str and "size" in part:
                yield part["commitment"]
            part = part.values()
        elif type(part) is not list:
            continue
        left += [inner for inner in part if type(inner) is dict or type(inner) is list]


def _cipher_of(tenant_key: bytes, task_id: str) -> AESGCM:
    derived = HKDFExpand(algorithm=hashes.SHA256(), length=KEY_SIZE, info=b"tierproof text key v1/" + task_id.encode())
    return AESGCM(derived.derive(tenant_key))


def _bound(key_id: uuid.UUID, tenant: str) -> bytes:
    return f"{key_id}/{tenant}".encode()
