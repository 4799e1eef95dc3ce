"""Adapters, checked before the engine sees them: place, size, digest, completeness, names, shapes, alpha.

OpenVINO accepts a cut file, only prints a line for tensors that bind to nothing, and does not read adapter_config.json.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tierproof_model_server import digests, safetensors
from tierproof_model_server.errors import AdapterRefused
from tierproof_model_server.geometry import Geometry

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TENSOR = re.compile(r"base_model\.model\.model\.(?P<module>layers\.\d+\.\w+\.\w+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRequest:
    """What a request says about its adapter: a name, the first 63 bits of the weights' sha256, a folder on this machine."""

    name: str
    lora_id: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAdapter:
    """An adapter whose bytes are those of its id, and which fits the model. alpha = lora_alpha / r."""

    name: str
    digest: str
    alpha: float
    weights: bytes


def checked(
    asked: AdapterRequest, *, root: Path, geometry: Geometry, most_bytes: int, source: str | None = None
) -> CheckedAdapter:
    """Read an adapter once and prove it; raises AdapterRefused. The caller uses the returned bytes, never the file again.

    `source` is the digest of the weights that the base was prepared from: an adapter that says what it was trained on must name it.
    """
    weights, config = _read(asked, root, most_bytes)
    digest = digests.of_bytes(weights)
    if digests.lora_id_of(digest) != asked.lora_id:
        raise AdapterRefused(adapter=asked.name, because="its bytes do not have the sha256 that lora_id names")
    try:
        header = safetensors.decode_header(weights)
    except safetensors.Unreadable as broken:
        raise AdapterRefused(adapter=asked.name, because=f"{WEIGHTS}: {broken}") from broken
    trained_on = header.facts.get("base", source)
    if source is not None and trained_on != source:
        raise AdapterRefused(
            adapter=asked.name, because=f"it was trained on {trained_on}, the base here is from {source}"
        )
    rank, alpha = _scaling(asked.name, config, header.facts)
    _fits(asked.name, header.shapes, geometry, rank)
    return CheckedAdapter(name=asked.name, digest=digest, alpha=alpha / rank, weights=weights)


def _read(asked: AdapterRequest, root: Path, most_bytes: int) -> tuple[bytes, bytes]:
    folder = asked.path.resolve()
    if not folder.is_relative_to(root.resolve()):
        raise AdapterRefused(adapter=asked.name, because="lora_path is not below the folder of adapters")
    weights, config = folder / WEIGHTS, folder / CONFIG
    if not weights.is_file() or not config.is_file():
        raise AdapterRefused(adapter=asked.name, because="lora_path does not exist or holds no adapter")
    if max(weights.stat().st_size, config.stat().st_size) > most_bytes:
        raise AdapterRefused(adapter=asked.name, because=f"larger than {most_bytes} bytes")
    return weights.read_bytes(), config.read_bytes()


def _scaling(name: str, config: bytes, facts: Mapping[str, str]) -> tuple[int, float]:
    """Return rank and lora_alpha. Where the weights file repeats them, which its digest covers, both must agree."""
    try:
        said = json.loads(config)
        rank, alpha = int(said["r"]), float(said["lora_alpha"])
    except (ValueError, KeyError, TypeError) as broken:
        raise AdapterRefused(adapter=name, because=f"{CONFIG} is damaged: {broken}") from broken
    if rank < 1 or not 0 < alpha < float("inf"):
        raise AdapterRefused(adapter=name, because=f"{CONFIG} has r={rank}, lora_alpha={alpha}")
    if facts.get("lora_alpha", str(alpha)) != str(alpha) or facts.get("r", str(rank)) != str(rank):
        raise AdapterRefused(adapter=name, because=f"{CONFIG} contradicts the scaling in {WEIGHTS}")
    return rank, alpha


def _fits(name: str, shapes: Mapping[str, tuple[int, ...]], geometry: Geometry, rank: int) -> None:
    modules = dict(geometry.modules())
    sides: dict[str, set[str]] = {}
    for tensor, shape in shapes.items():
        found = TENSOR.fullmatch(tensor)
        if found is None or found["module"] not in modules:
            raise AdapterRefused(adapter=name, because=f"tensor {tensor!r} binds to nothing in the base model")
        outputs, inputs = modules[found["module"]]
        expected = (rank, inputs) if found["side"] == "A" else (outputs, rank)
        if shape != expected:
            raise AdapterRefused(
                adapter=name, because=f"tensor {tensor!r} has shape {shape}, the base model takes {expected}"
            )
        sides.setdefault(found["module"], set()).add(found["side"])
    if not sides or any(found != {"A", "B"} for found in sides.values()):
        raise AdapterRefused(adapter=name, because="it holds no complete pair of A and B for some module")
