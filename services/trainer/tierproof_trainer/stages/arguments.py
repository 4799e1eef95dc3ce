"""From the lock to the arguments of TRL and PEFT: nothing is set here that the lock does not say, but what makes a run repeatable."""

import random
from typing import Any

import numpy as np
import torch
from peft import LoraConfig

from tierproof_trainer.stages.job import Job

SILENT = {
    "report_to": [],
    "disable_tqdm": True,
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
}  # else NaN is told as 0
REPEATABLE = {
    "dataloader_num_workers": 0,
    "optim": "adamw_torch",
    "gradient_checkpointing": False,
    "full_determinism": False,
}
EACH_STEP = 1


def seed_everything(seeds: dict[str, int]) -> None:
    """Seed what draws during training: Python, numpy, torch."""
    random.seed(seeds["python"])
    np.random.seed(seeds["numpy"])  # noqa: NPY002 - the generator that the libraries below draw from
    torch.manual_seed(seeds["torch"])


def adapter_of(job: Job) -> LoraConfig:
    """Return the shape of the adapter."""
    lora = job.lock["lora"]
    return LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=float(lora["dropout"]),
        target_modules=list(lora["targets"]),
        bias="none",
        task_type="CAUSAL_LM",
    )


def common(job: Job) -> dict[str, Any]:
    """Return what every stage passes to its configuration."""
    asked = job.hyperparameters
    on_gpu = job.lock["environment"].get("cuda") is not None
    return {
        "output_dir": str(job.work),
        "per_device_train_batch_size": asked["batch"],
        "gradient_accumulation_steps": asked["accumulation"],
        "num_train_epochs": 1,  # the order of all epochs is laid out beforehand; `steps` ends it, the schedule is that of the whole
        "learning_rate": float(asked["learning_rate"]),
        "lr_scheduler_type": asked["schedule"],
        "lr_scheduler_kwargs": {"min_lr_rate": float(asked["least_learning_rate_share"])}
        if asked["schedule"] == "cosine_with_min_lr"
        else {},
        "warmup_steps": asked["warmup_steps"],
        "weight_decay": float(asked["weight_decay"]),
        "adam_beta2": float(asked["adam_beta2"]),
        "max_grad_norm": float(asked["clip"]),
        "bf16": asked["precision"] == "bf16",
        "use_cpu": not on_gpu,
        "seed": job.seeds["torch"],
        "data_seed": job.seeds["data"],
        "save_strategy": "steps",
        "save_steps": job.save_every,
        "save_total_limit": job.keep,
        "train_sampling_strategy": "sequential",
        "dataloader_drop_last": True,
        **SILENT,
        **REPEATABLE,
    }
