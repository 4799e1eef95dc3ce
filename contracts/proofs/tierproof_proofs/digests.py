"""SHA-256 digests as this project writes them: `sha256:` and 64 hex digits."""

import hashlib
from pathlib import Path


def of_bytes(content: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_file(path: Path) -> str:
    """Return the digest of a file, which is not read as a whole. Raises OSError."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
