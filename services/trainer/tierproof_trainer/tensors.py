"""Tensors of a safetensors file, compared without torch: digests per tensor, and the largest absolute difference of fp32 values."""

import hashlib
import json
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

LENGTH = struct.Struct("<Q")
LARGEST_HEADER = 100 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor: type and shape as the file says, its bytes (little-endian, row-major)."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes

    @property
    def digest(self) -> str:
        """The digest of type, shape and bytes."""
        about = json.dumps([self.dtype, self.shape]).encode()
        return f"sha256:{hashlib.sha256(about + self.content).hexdigest()}"


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a file by name (https://github.com/huggingface/safetensors, format). Raises OSError, ValueError, KeyError."""
    with path.open("rb") as file:
        (size,) = LENGTH.unpack(file.read(LENGTH.size))
        if size > LARGEST_HEADER:
            raise ValueError(f"{path}: a header of {size} bytes")
        header = json.loads(file.read(size))
        content = file.read()
    header.pop("__metadata__", None)
    return {
        name: Tensor(
            dtype=said["dtype"],
            shape=tuple(said["shape"]),
            content=content[said["data_offsets"][0] : said["data_offsets"][1]],
        )
        for name, said in sorted(header.items())
    }


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest absolute difference of two fp32 tensors; infinite where they cannot be compared or hold no numbers."""
    if one == other:
        return 0.0
    if (one.dtype, one.shape) != (other.dtype, other.shape) or one.dtype != "F32":
        return float("inf")
    found = [abs(a - b) for a, b in zip(array("f", one.content), array("f", other.content), strict=True)]
    return max(found) if all(map(isfinite, found)) else float("inf")
