"""Reading GGUF version 3: the header, and the exact zero points of Q4_1 matrices.

Source: the GGUF specification of ggml. A Q4_1 block holds 32 weights in 20 bytes: f16 d, f16 m, 16 bytes of nibbles; w = q * d + m.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tierproof_model_server.errors import PreparationRefused

VERSION = 3
ALIGNMENT = 32
Q4_1 = 3
BLOCK_WEIGHTS, BLOCK_BYTES = 32, 20
_TEXT, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Where a tensor lies: its dimensions (fastest first, as GGUF has them), its type, its offset in bytes."""

    dimensions: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gguf:
    """The header of a GGUF file."""

    path: Path
    facts: Mapping[str, Any]
    matrices: Mapping[str, Matrix]

    def zero_points(self, name: str) -> npt.NDArray[np.float32]:
        """Return -m/d of each block of a Q4_1 matrix, shape (outputs, inputs / 32); 0 where d is 0."""
        matrix = self.matrices[name]
        if matrix.kind != Q4_1:
            raise PreparationRefused(expected=f"{name} as Q4_1", found=f"type {matrix.kind}")
        inputs, outputs = matrix.dimensions
        blocks = inputs * outputs // BLOCK_WEIGHTS
        raw = np.memmap(self.path, dtype=np.uint8, mode="r", offset=matrix.offset, shape=(blocks, BLOCK_BYTES))
        scale = raw[:, :2].copy().view(np.float16).astype(np.float32)
        least = raw[:, 2:4].copy().view(np.float16).astype(np.float32)
        points = np.where(scale == 0, 0, -least / np.where(scale == 0, 1, scale))
        return np.asarray(points.reshape(outputs, inputs // BLOCK_WEIGHTS), dtype=np.float32)


def read_header(path: Path) -> Gguf:
    """Read the header; raises PreparationRefused for another format or version."""
    with path.open("rb") as file:
        magic = file.read(4)
        version, tensors, facts_count = struct.unpack("<IQQ", file.read(20))
        if magic != b"GGUF" or version != VERSION:
            raise PreparationRefused(expected=f"GGUF version {VERSION}", found=f"{magic!r} version {version}")
        facts = dict(_fact(file) for _ in range(facts_count))
        placed = [_matrix(file) for _ in range(tensors)]
        start = -(-file.tell() // ALIGNMENT) * ALIGNMENT
    matrices = {
        name: Matrix(dimensions=dimensions, kind=kind, offset=start + offset)
        for name, dimensions, kind, offset in placed
    }
    return Gguf(path=path, facts=facts, matrices=matrices)


def in_hugging_face_order(points: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Undo the row permutation that GGUF gives q and k for its rotary embedding; the shape stays."""
    outputs, rest = points.shape
    half = outputs // heads // 2
    return points.reshape(heads, half, 2, rest).swapaxes(1, 2).reshape(outputs, rest)


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    return file.read(length).decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int) -> Any:  # noqa: ANN401 - a GGUF fact is a number, a text or a list of them
    if kind == _TEXT:
        return _text(file)
    if kind == _ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        return [_value(file, inner) for _ in range(count)]
    shape = _SCALARS[kind]
    return struct.unpack(shape, file.read(struct.calcsize(shape)))[0]


def _fact(file: BinaryIO) -> tuple[str, Any]:
    key = _text(file)
    (kind,) = struct.unpack("<I", file.read(4))
    return key, _value(file, kind)


def _matrix(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    name = _text(file)
    (count,) = struct.unpack("<I", file.read(4))
    dimensions = struct.unpack(f"<{count}Q", file.read(8 * count))
    kind, offset = struct.unpack("<IQ", file.read(12))
    return name, dimensions, kind, offset
