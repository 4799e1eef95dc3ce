"""Keys and passwords of one embedded stack, created at the first start and kept with mode 0600.

They stand in for a key service: whoever reads the folder can sign as this stack. `nkeys` reads and writes the NATS format.
"""

import base64
import os
from collections.abc import Iterable
from pathlib import Path

import nkeys
from nacl.signing import SigningKey

from tierproof_embedded.ports import write_whole

SEED_BYTES = 32


def random_bytes(size: int) -> bytes:
    """Return bytes from the operating system's generator."""
    return os.urandom(size)


def user_seed(raw: bytes) -> str:
    """Return the NATS seed (`SU...`) of 32 raw bytes."""
    return str(nkeys.encode_seed(raw, nkeys.PREFIX_BYTE_USER).decode())


def public_key_of(seed: str) -> str:
    """Return the public NKey (`U...`) of a user's seed."""
    _prefix, raw = nkeys.decode_seed(seed.encode())
    public = bytearray([nkeys.PREFIX_BYTE_USER]) + bytearray(bytes(SigningKey(bytes(raw)).verify_key))
    public += nkeys.crc16_checksum(public)
    return _base32(bytes(public))


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=")


def kept(path: Path, fresh: str) -> str:
    """Return the secret that a file holds; the first time, write `fresh` there."""
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, fresh + "\n")
    return fresh


def seed_file(folder: Path, user: str) -> Path:
    """Return the file that holds a NATS user's seed."""
    return folder / "nats" / f"{user}.nk"


def user_keys(folder: Path, users: Iterable[str]) -> dict[str, str]:
    """Return the public NKey of each user, creating the seeds that are missing."""
    return {user: public_key_of(kept(seed_file(folder, user), user_seed(random_bytes(SEED_BYTES)))) for user in users}


def password_file(folder: Path, name: str) -> Path:
    """Return the file that holds a password."""
    return folder / f"{name}.password"


def password(folder: Path, name: str) -> str:
    """Return the password kept under a name, creating it when it is missing: 64 hex digits."""
    return kept(password_file(folder, name), random_bytes(SEED_BYTES).hex())


def put(path: Path, secret: str) -> None:
    """Write a secret that follows from others, such as a DSN; readable by the owner alone."""
    write_whole(path, secret + "\n")
