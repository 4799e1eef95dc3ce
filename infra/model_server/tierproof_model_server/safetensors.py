"""Safetensors files by hand: 8 bytes of header length, a JSON header, the tensors one after another.

Source: the safetensors format description of Hugging Face. Only what adapters and the encoder need: few types, no gaps.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

BYTES_OF = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}
_LENGTH = 8


class Unreadable(ValueError):
    """The bytes are not a complete safetensors file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Shapes of all tensors by name, and the free facts."""

    shapes: Mapping[str, tuple[int, ...]]
    facts: Mapping[str, str]


def encode(tensors: Mapping[str, npt.NDArray[np.float32]], facts: Mapping[str, str]) -> bytes:
    """Return the file of these F32 tensors, ordered by name, so that equal tensors give equal bytes."""
    header: dict[str, object] = {"__metadata__": dict(sorted(facts.items()))}
    chunks, end = [], 0
    for name, tensor in sorted(tensors.items()):
        chunk = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + len(chunk)]}
        chunks.append(chunk)
        end += len(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)
    return struct.pack("<Q", len(text)) + text + b"".join(chunks)


def decode_header(content: bytes | npt.NDArray[np.uint8]) -> Header:
    """Read the header and hold the file's length against it; raises Unreadable for a cut or padded file."""
    if len(content) < _LENGTH:
        raise Unreadable("shorter than its header length")
    (length,) = struct.unpack("<Q", bytes(content[:_LENGTH]))
    try:
        header = json.loads(bytes(content[_LENGTH : _LENGTH + length]))
        facts = header.pop("__metadata__", {})
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        spans = sorted(
            (*entry["data_offsets"], prod(entry["shape"]) * BYTES_OF[entry["dtype"]]) for entry in header.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise Unreadable(f"the header is damaged: {broken}") from broken
    end = 0
    for start, stop, size in spans:
        if start != end or stop - start != size:
            raise Unreadable("the tensors overlap or leave gaps")
        end = stop
    if _LENGTH + length + end != len(content):
        raise Unreadable(f"{len(content)} bytes where the header promises {_LENGTH + length + end}")
    return Header(shapes=shapes, facts=facts)


def floats_in(path: Path) -> tuple[dict[str, npt.NDArray[np.float32]], Mapping[str, str]]:
    """Return the F32 tensors of a file by name, mapped and not copied, and its free facts. Raises OSError and Unreadable."""
    content = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    facts = decode_header(content).facts
    begin = _LENGTH + int.from_bytes(content[:_LENGTH].tobytes(), "little")
    header = json.loads(content[_LENGTH:begin].tobytes())
    header.pop("__metadata__", None)
    return {
        name: content[begin + about["data_offsets"][0] : begin + about["data_offsets"][1]]
        .view("<f4")
        .reshape(about["shape"])
        for name, about in header.items()
        if about["dtype"] == "F32"
    }, facts
