"""The base model for training: the GGUF weights that are served, de-quantised once into a folder named by their digest."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from tierproof_trainer.stages.job import StageFailed

READABLE = 0o644
CONVERTED = "fp32-1"  # the form of a converted base; raise it when the conversion changes


def digest_of(path: Path) -> str:
    """Return `sha256:...` of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def converted(weights: Path, expected: str, into: Path) -> Path:
    """Return the folder of the converted base, made when there is none (half a minute, 2 GB). Raises StageFailed."""
    folder = into / f"{expected.removeprefix('sha256:')}-{CONVERTED}"
    if folder.is_dir():
        return folder
    found = digest_of(weights)
    if found != expected:
        raise StageFailed(
            "another-base", f"parent.weights: the lock names {expected}, the file is {found}", "lock again"
        )
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".converting-") as scratch:
        _convert(weights, Path(scratch) / "base")
        try:
            (Path(scratch) / "base").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another job was first, with the same bytes
                raise
    return folder


def _convert(weights: Path, into: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name)
    quantised = AutoModelForCausalLM.from_pretrained(
        str(weights.parent), gguf_file=weights.name, dtype=torch.float32
    )  # cannot be saved as it is: its configuration says that it is quantised
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(quantised.state_dict())
    plain.save_pretrained(into)
    tokenizer.save_pretrained(into)
    for path in into.iterdir():
        path.chmod(READABLE)  # safetensors writes files that their maker alone can read


def loaded(folder: Path) -> tuple[Any, Any]:
    """Return model (fp32) and tokenizer of a converted base."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def loaded_in_4_bits(folder: Path) -> tuple[Any, Any]:
    """Return model and tokenizer with the base held in 4 bits (QLoRA), on a GPU. Raises StageFailed where there is none.

    Written against the documented interface of bitsandbytes and PEFT (NF4, double quantisation, bf16 arithmetic); it has not been
    run on the machines that this repository is developed on, which have no GPU.
    """
    if not torch.cuda.is_available():
        raise StageFailed(
            "another-environment", "lora.quantized: no GPU here", "train where there is one, or lock without it"
        )
    in_4_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=in_4_bits, device_map={"": 0})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False), tokenizer


def make_deterministic(threads: int) -> None:
    """Fix what may differ between two runs on one instruction set. Call before anything is built."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the file system of a folder."""
    return shutil.disk_usage(folder).free
