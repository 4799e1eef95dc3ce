"""Small adapters for conformance tests, made from a seed: they prove switching and scaling, not learning."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tierproof_model_server import digests, safetensors
from tierproof_model_server.adapters import CONFIG, WEIGHTS
from tierproof_model_server.geometry import Geometry

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAdapter:
    """An adapter on disk: its folder in PEFT's layout, and the digest of its weights file."""

    name: str
    folder: Path
    digest: str

    @property
    def lora_id(self) -> int:
        """Return the id on the wire: the first 63 bits of the digest."""
        return digests.lora_id_of(self.digest)


def write_reference_adapter(
    into: Path,
    *,
    name: str,
    seed: int,
    geometry: Geometry,
    rank: int = 8,
    spread: float = 0.05,
    scaling: float = 2.0,
    gain: float = 1.0,
) -> ReferenceAdapter:
    """Write `into/name`: normal numbers of deviation `spread` on the attention matrices, B times `gain`, lora_alpha = scaling * r.

    The same arguments give the same bytes. What the model sees is scaling * gain * B @ A.
    """
    numbers = np.random.default_rng(seed)
    tensors = {}
    for module, (outputs, inputs) in geometry.modules():
        if module.endswith(ATTENTION):
            prefix = f"base_model.model.model.{module}"
            tensors[f"{prefix}.lora_A.weight"] = numbers.normal(0, spread, (rank, inputs)).astype(np.float32)
            tensors[f"{prefix}.lora_B.weight"] = (gain * numbers.normal(0, spread, (outputs, rank))).astype(np.float32)
    alpha = float(scaling * rank)
    content = safetensors.encode(tensors, {"format": "pt", "r": str(rank), "lora_alpha": str(alpha)})
    folder = into / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(content)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(part.rpartition(".")[2] for part in ATTENTION),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    return ReferenceAdapter(name=name, folder=folder, digest=digests.of_bytes(content))
