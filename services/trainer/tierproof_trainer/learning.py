"""Did this training learn? Judged by its own steps and weights, with the numbers of the signed training policy. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from tierproof_contracts.documents import LearningLimits
from tierproof_contracts.training import FailureCode

from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.tensors import Tensor

Line = Mapping[str, Any]  # of progress: `step`, `loss`, `gradient`; others are left alone
LEARNED_HERE = (
    "lora_B"  # zero before the first step (LoRA, Hu et al. 2021): zero afterwards means that nothing was learned
)
NO_HEADWAY: FailureCode = "stalled"
MEND = "look at the records and the learning rate, and lock anew"


def refuse_still(lines: Iterable[Line], limits: LearningLimits | None) -> None:
    """Raise TrainingRefused when the first steps show that nothing moves: gradients of exactly 0, or one loss for all."""
    if limits is None:
        return
    first = _by_step(lines)[: limits.still_steps]
    if len(first) < limits.still_steps:
        return
    if all(line.get("gradient") == 0 for line in first):
        raise TrainingRefused(NO_HEADWAY, f"the gradient of each of the first {len(first)} steps is 0", MEND)
    if len(first) > 1 and len({line["loss"] for line in first}) == 1:
        because = f"the loss of each of the first {len(first)} steps is {first[0]['loss']}"
        raise TrainingRefused(NO_HEADWAY, because, MEND)


def refuse_worse(lines: Iterable[Line], limits: LearningLimits | None) -> None:
    """Raise TrainingRefused when a training of enough steps ends with more loss than the policy allows, measured by its beginning."""
    if limits is None:
        return
    losses = [float(line["loss"]) for line in _by_step(lines)]
    if len(losses) < 2 * limits.compared_steps:
        return
    first, last = fmean(losses[: limits.compared_steps]), fmean(losses[-limits.compared_steps :])
    if last * 100 > first * limits.most_loss_percent:
        because = (
            f"the mean loss of the last {limits.compared_steps} steps is {last:.4f}, of the first {first:.4f}: "
            f"the training policy allows {limits.most_loss_percent} %"
        )
        raise TrainingRefused(NO_HEADWAY, because, MEND)


def refuse_unmoved(tensors: Mapping[str, Tensor]) -> None:
    """Raise TrainingRefused when an adapter changes nothing in its base. Full weights have no such tensors and are not judged here."""
    found = [tensor for name, tensor in tensors.items() if LEARNED_HERE in name]
    if found and not any(any(tensor.content) for tensor in found):
        raise TrainingRefused(NO_HEADWAY, f"all {len(found)} tensors {LEARNED_HERE} are 0", MEND)


def _by_step(lines: Iterable[Line]) -> Sequence[Line]:
    """Return one line per step, in order: a resumed training tells some twice."""
    found = {int(line["step"]): line for line in lines if "step" in line}
    return [found[step] for step in sorted(found)]
