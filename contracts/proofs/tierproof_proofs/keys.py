"""Keys: Ed25519 and ML-DSA-44 files that only their owner reads, and what a signature is made with and checked by."""

import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tierproof_proofs.encoding import base64_of, bytes_of_base64
from tierproof_proofs.errors import Malformed, UnusableKey

PUBLIC_KEY_SIZE = 32
SEED_SIZE = 32
OWNER_ONLY = 0o600
OTHERS = 0o077


class Signer(Protocol):
    """Something that signs: a key file, a PKCS#11 token, a key service. The private key never leaves it."""

    @property
    def key_id(self) -> str:
        """Names the key; a hint for whoever verifies."""

    @property
    def algorithm(self) -> str:
        """The signature algorithm's name: `ed25519` or `ml-dsa-44`."""

    @property
    def public_key(self) -> bytes:
        """The raw public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""


class Verifier(Protocol):
    """Something that checks signatures of one key."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the key signed this message."""


def key_id_of(public_key: bytes) -> str:
    """Return `sha256:<hex>` of a raw public key."""
    return "sha256:" + sha256(public_key).hexdigest()


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """An Ed25519 public key, raw."""

    public_key: bytes

    def __post_init__(self) -> None:
        if len(self.public_key) != PUBLIC_KEY_SIZE:
            raise Malformed(f"an Ed25519 public key has {PUBLIC_KEY_SIZE} bytes, not {len(self.public_key)}")

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Read a raw key in standard base64; raises Malformed."""
        return cls(bytes_of_base64(text, "public key"))

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the key signed this message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer:
    """An Ed25519 private key held in memory."""

    algorithm = "ed25519"
    __slots__ = ("_private", "key_id", "public_key")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key of a 32-byte seed (RFC 8032 section 5.1.5); raises Malformed."""
        if len(seed) != SEED_SIZE:
            raise Malformed(f"an Ed25519 seed has {SEED_SIZE} bytes, not {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_base64(self) -> str:
        """The raw public key in standard base64: how documents name it."""
        return base64_of(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._private.sign(message)

    def pem(self) -> bytes:
        """Return the private key as PKCS#8 PEM."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class MLDSA44Signer:
    """An ML-DSA-44 private key held in memory (FIPS 204, empty context)."""

    algorithm = "ml-dsa-44"
    __slots__ = ("_private", "key_id", "public_key")

    def __init__(self, private: MLDSA44PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key of a 32-byte seed (FIPS 204 section 6.1); raises Malformed."""
        if len(seed) != SEED_SIZE:
            raise Malformed(f"an ML-DSA-44 seed has {SEED_SIZE} bytes, not {len(seed)}")
        return cls(MLDSA44PrivateKey.from_seed_bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """Return a 2420-byte signature; two of the same message differ."""
        return self._private.sign(message)

    def pem(self) -> bytes:
        """Return the private key, its seed alone, as PKCS#8 PEM (RFC 9881)."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(path: Path) -> Ed25519Signer:
    """Read an Ed25519 private key (PKCS#8 PEM); raises UnusableKey, for one when others may read the file."""
    private = _private_key(path)
    if not isinstance(private, Ed25519PrivateKey):
        raise UnusableKey(f"{path}: not an Ed25519 key")
    return Ed25519Signer(private)


def load_mldsa44_key(path: Path) -> MLDSA44Signer:
    """Read an ML-DSA-44 private key (PKCS#8 PEM); raises UnusableKey, for one when others may read the file."""
    private = _private_key(path)
    if not isinstance(private, MLDSA44PrivateKey):
        raise UnusableKey(f"{path}: not an ML-DSA-44 key")
    return MLDSA44Signer(private)


def load_or_create_key(path: Path) -> Ed25519Signer:
    """Return the key of a file, made at the first call; of two that start at once, both get the same key."""
    if not path.exists():
        write_secret(path, Ed25519Signer(Ed25519PrivateKey.generate()).pem())
    return load_key(path)


def load_or_create_mldsa44_key(path: Path) -> MLDSA44Signer:
    """Return the ML-DSA-44 key of a file, made at the first call; of two that start at once, both get the same key."""
    if not path.exists():
        write_secret(path, MLDSA44Signer(MLDSA44PrivateKey.generate()).pem())
    return load_mldsa44_key(path)


def _private_key(path: Path) -> PrivateKeyTypes:
    try:
        if path.stat().st_mode & OTHERS:
            raise UnusableKey(f"{path}: others may read this key; chmod 600 it, or make a new one")
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UnusableKey(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKey(f"{path}: not an unencrypted PKCS#8 key") from None


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all; an existing file stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def public_base64_of(given: str) -> str:
    """Return the public key that is given in base64, or of the key file that is named; raises UnusableKey for a file that holds none."""
    return load_key(Path(given)).public_base64 if Path(given).is_file() else given
