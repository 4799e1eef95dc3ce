"""The five stages: continued pretraining, supervised fine-tuning, DPO, ORPO, and a task's LoRA, which is fine-tuning by another name."""

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel, get_peft_model
from transformers import Trainer
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from tierproof_trainer.stages import arguments, base, records
from tierproof_trainer.stages.job import Job, StageFailed
from tierproof_trainer.stages.order import order_of
from tierproof_trainer.stages.saving import save_adapter, save_full
from tierproof_trainer.stages.watching import Watching


def run(job: Job) -> dict[str, Any]:
    """Run a job to its artifact, from its last saved state where there is one. Raises StageFailed."""
    stage = job.lock["stage"]
    base.make_deterministic(job.lock["environment"]["threads"])
    folder = base.converted(job.weights, job.lock["parent"]["weights"], job.bases)
    quantized = (job.lock.get("lora") or {}).get("quantized", False)
    model, tokenizer = base.loaded_in_4_bits(folder) if quantized else base.loaded(folder)
    arguments.seed_everything({**job.seeds, "torch": job.seeds["adapter"]})
    model = _trainable(model, job)
    arguments.seed_everything(job.seeds)
    trainer, tokens = _TRAINERS[stage](model, tokenizer, job)
    trainer.add_callback(Watching(job, stage, tokens))
    last = _last_state(job)
    if last is not None and _steps_of(last) == job.hyperparameters.get("steps"):
        trainer._load_from_checkpoint(str(last))  # noqa: SLF001 - killed between its last state and its artifact
        trainer.state.global_step = _steps_of(last)
    else:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    trained = trainer.accelerator.unwrap_model(trainer.model)
    files = save_adapter(trained, job) if job.lock["decision"]["kind"] == "lora" else save_full(trained, job)
    return {
        "ended": "completed",
        "steps": trainer.state.global_step,
        "tokens": tokens[trainer.state.global_step - 1] if tokens else None,
        "files": {path.name: base.digest_of(path) for path in files},
        "parameters": sum(p.numel() for p in trained.parameters() if p.requires_grad),
    }


def _trainable(model: Any, job: Job) -> Any:  # noqa: ANN401 - a model of transformers or PEFT
    if job.lock["decision"]["kind"] == "full":
        return model
    if job.begin_from is not None:  # chained: the adapter of the stage before goes on learning
        return PeftModel.from_pretrained(model, str(job.begin_from), is_trainable=True)
    return get_peft_model(model, arguments.adapter_of(job))


def _last_state(job: Job) -> Path | None:
    """Return the newest whole state: one that was being written when the process died lacks its last file."""
    states = sorted(job.work.glob("checkpoint-*"), key=_steps_of, reverse=True)
    return next((state for state in states if (state / "trainer_state.json").is_file()), None)


def _steps_of(state: Path) -> int:
    return int(state.name.rpartition("-")[2])


def _laid_out(found: Dataset, job: Job) -> tuple[Dataset, list[int]]:
    """Return the records in training order, and the tokens seen by the end of each optimiser step."""
    asked = job.hyperparameters
    lengths = found["length"]
    together = asked["batch"] * asked["accumulation"]
    order = order_of(lengths, batch=asked["batch"], epochs=asked["epochs"], seed=job.seeds["data"])
    if len(order) < together:
        raise StageFailed(
            "too-few-records", f"{len(lengths)} records fill no batch of {together}", "lower hyperparameters.batch"
        )
    by_step = [
        sum(lengths[position] for position in order[at : at + together]) for at in range(0, len(order), together)
    ]
    return found.select(order).remove_columns("length"), list(accumulate(by_step))


def _sft(model: Any, tokenizer: Any, job: Job, found: Dataset) -> tuple[Trainer, list[int]]:  # noqa: ANN401
    ordered, tokens = _laid_out(found, job)
    settings = SFTConfig(
        **arguments.common(job),
        max_length=job.hyperparameters["longest_tokens"],
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )
    return SFTTrainer(model=model, args=settings, train_dataset=ordered, processing_class=tokenizer), tokens


def _dapt(model: Any, tokenizer: Any, job: Job) -> tuple[Trainer, list[int]]:  # noqa: ANN401
    return _sft(model, tokenizer, job, records.texts(job.records, tokenizer, job.hyperparameters["longest_tokens"]))


def _fine_tuning(model: Any, tokenizer: Any, job: Job) -> tuple[Trainer, list[int]]:  # noqa: ANN401
    return _sft(
        model, tokenizer, job, records.completions(job.records, tokenizer, job.hyperparameters["longest_tokens"])
    )


def _dpo(model: Any, tokenizer: Any, job: Job) -> tuple[Trainer, list[int]]:  # noqa: ANN401
    asked = job.hyperparameters
    settings = DPOConfig(**arguments.common(job), beta=float(asked["beta"]), max_length=asked["longest_tokens"])
    found = records.preferences(job.records)
    return DPOTrainer(model=model, args=settings, train_dataset=found, processing_class=tokenizer), []


def _orpo(model: Any, tokenizer: Any, job: Job) -> tuple[Trainer, list[int]]:  # noqa: ANN401
    asked = job.hyperparameters
    settings = ORPOConfig(**arguments.common(job), beta=float(asked["beta"]), max_length=asked["longest_tokens"])
    found = records.preferences(job.records)
    return ORPOTrainer(model=model, args=settings, train_dataset=found, processing_class=tokenizer), []


_TRAINERS: dict[str, Callable[[Any, Any, Job], tuple[Trainer, list[int]]]] = {
    "dapt": _dapt,
    "sft": _fine_tuning,
    "task-lora": _fine_tuning,
    "dpo": _dpo,
    "orpo": _orpo,
}
