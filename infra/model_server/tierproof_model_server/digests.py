"""Digests as `sha256:<hex>` of files, and of lists of files in the format of sha256sum."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LORA_ID_BITS = 63  # what fits into every signed 64-bit integer between here and TensorRT-LLM


def of_file(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def of_bytes(content: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_listing(files: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the digest of the lines `<hex>  <name>` of the named files, sorted: what `sha256sum FILES | sha256sum` says."""
    lines = (f"{files[name].removeprefix('sha256:')}  {name}\n" for name in sorted(names))
    return of_bytes("".join(lines).encode())


def of_json(value: Mapping[str, Any]) -> str:
    """Return the digest of a value as JSON with sorted keys and without white space."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def lora_id_of(digest: str) -> int:
    """Return the first 63 bits of an adapter's digest: its `lora_id` on the wire."""
    return int(digest.removeprefix("sha256:"), 16) >> (256 - LORA_ID_BITS)
