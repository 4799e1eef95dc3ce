"""Heartbeat, loss curve, and an end to training that has gone wrong."""

import ctypes
import math
import resource
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tierproof_trainer.stages.job import Job, StageFailed, tell

_LIBC = ctypes.CDLL(None)


class Watching(TrainerCallback):  # type: ignore[misc]  # transformers publishes no types
    """Writes one line of progress per optimiser step; stops after the lock's `steps`, and at a loss that is no number."""

    def __init__(self, job: Job, stage: str, tokens_by_step: list[int]) -> None:
        self._job, self._stage, self._tokens = job, stage, tokens_by_step
        self._began = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the caller's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Tell a step. Raises StageFailed when loss or gradient is no number: nothing learned after it is worth keeping."""
        said = logs or {}
        if "loss" not in said:
            return
        loss, norm = (
            float(said["loss"]),
            float(said["grad_norm"]) if "grad_norm" in said else None,
        )  # not told unclipped
        seen = self._tokens[min(state.global_step, len(self._tokens)) - 1] if self._tokens else None
        usage = resource.getrusage(resource.RUSAGE_SELF)
        tell(
            self._job.folder,
            {
                "stage": self._stage,
                "step": state.global_step,
                "of": state.max_steps,
                "loss": loss if math.isfinite(loss) else str(loss),
                "gradient": norm if norm is None or math.isfinite(norm) else str(norm),
                "learning_rate": said.get("learning_rate"),
                "tokens": seen,
                "seconds": round(time.monotonic() - self._began, 2),
                "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
                "peak_mib": usage.ru_maxrss // 1024,
            },
        )
        if not (math.isfinite(loss) and math.isfinite(norm or 0.0)):
            because = f"step {state.global_step}: loss {loss}, gradient {norm}"
            raise StageFailed("not-a-number", because, "lower the learning rate or mend the records, in a new lock")

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **_: object,
    ) -> None:
        """End the training where the lock does, with a state to go on from."""
        last = self._job.hyperparameters.get("steps")
        if last is not None and state.global_step >= last:
            control.should_training_stop = control.should_save = True

    def on_save(self, *_: object, **__: object) -> None:
        """Give freed memory back to the system: batches of many lengths leave holes, gigabytes after some hundred steps."""
        if hasattr(_LIBC, "malloc_trim"):
            _LIBC.malloc_trim(0)
