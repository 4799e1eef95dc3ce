"""The artifact: safetensors whose bytes follow from the tensors, and a configuration in canonical form. No pickles, no times."""

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from tierproof_trainer.stages.base import free_bytes
from tierproof_trainer.stages.job import Job, StageFailed

LENGTH = struct.Struct("<Q")
WEIGHTS, CONFIG, FULL = "adapter_model.safetensors", "adapter_config.json", "model.safetensors"
HEADS = "heads.safetensors"


def save_adapter(model: Any, job: Job) -> list[Path]:  # noqa: ANN401 - a model of PEFT
    """Write the adapter as the model server takes it: rank and alpha stand in the weights file too, which its digest covers."""
    lora = job.lock["lora"]
    tensors = {
        name: tensor.detach().to(torch.float32).contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
    }
    about = {
        "format": "pt",
        "r": str(lora["rank"]),
        "lora_alpha": str(float(lora["alpha"])),
        "base": job.lock["parent"]["weights"],
    }
    config = {
        "base_model_name_or_path": job.lock["parent"]["base"],
        "bias": "none",
        "lora_alpha": float(lora["alpha"]),
        "lora_dropout": float(lora["dropout"]),
        "peft_type": "LORA",
        "r": lora["rank"],
        "target_modules": sorted(lora["targets"]),
        "task_type": "CAUSAL_LM",
    }
    fresh = _fresh(job, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    _save(tensors, fresh / WEIGHTS, about)
    (fresh / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    return _published(fresh, job)


def save_heads(tensors: dict[str, Any], facts: dict[str, str], job: Job) -> list[Path]:
    """Write a classifier's heads; the facts say which classes they tell apart and which encoder they stand on."""
    fresh = _fresh(job, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    _save({name: tensor.contiguous() for name, tensor in tensors.items()}, fresh / HEADS, facts)
    return _published(fresh, job)


def save_full(model: Any, job: Job) -> list[Path]:  # noqa: ANN401
    """Write all weights of a derived base."""
    shared = {
        name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"
    }  # tied to the embedding
    tensors = {name: tensor.detach().contiguous() for name, tensor in shared.items()}
    fresh = _fresh(job, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    _save(tensors, fresh / FULL, {"format": "pt", "base": job.lock["parent"]["weights"]})
    (fresh / "config.json").write_text(
        json.dumps(json.loads(model.config.to_json_string()), indent=1, sort_keys=True) + "\n"
    )
    return _published(fresh, job)


def _save(tensors: dict[str, Any], path: Path, about: dict[str, str]) -> None:
    """Write safetensors with a header in one order: the library orders the free facts by chance, anew in each process."""
    save_file(dict(sorted(tensors.items())), path, metadata=about)
    with path.open("r+b") as file:
        (size,) = LENGTH.unpack(file.read(LENGTH.size))
        header = json.loads(file.read(size))
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > size:
            raise StageFailed(
                "io", f"{path.name}: its header does not fit when ordered", "look at the version of safetensors"
            )
        file.seek(LENGTH.size)
        file.write(text.ljust(size))


def _fresh(job: Job, size: int) -> Path:
    if free_bytes(job.folder) < 2 * size:
        because = f"the disk has {free_bytes(job.folder)} bytes free, the artifact needs {2 * size} with its copy"
        raise StageFailed("disk-full", because, "make room and run the job again: it resumes")
    fresh = job.folder / "artifact.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    return fresh


def _published(fresh: Path, job: Job) -> list[Path]:
    for path in sorted(fresh.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(job.artifact, ignore_errors=True)
    fresh.rename(job.artifact)
    return sorted(job.artifact.iterdir())
