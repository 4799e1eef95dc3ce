"""A training that moves nothing or gets worse is refused by the numbers of the policy; one that learns is not."""

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts.documents import LearningLimits
from tierproof_trainer import learning
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.tensors import Tensor

LIMITS = LearningLimits(still_steps=3, compared_steps=4, most_loss_percent=110)


def steps(*losses: float, gradient: float | None = 0.5) -> list[dict[str, Any]]:
    return [{"step": at, "loss": loss, "gradient": gradient} for at, loss in enumerate(losses, 1)]


def weights(**values: list[float]) -> dict[str, Tensor]:
    return {
        name: Tensor(dtype="F32", shape=(len(found),), content=array("f", found).tobytes())
        for name, found in values.items()
    }


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (steps(2.0, 1.9, 1.8, gradient=0.0), "gradient"),
        (steps(2.0, 2.0, 2.0), "loss"),
        (steps(2.0, 2.0, 2.0, gradient=None), "loss"),
        ([{"began": True}, *steps(2.0, 2.0), *steps(2.0, 2.0, 2.0)], "loss"),
    ],
)
def test_first_steps_in_which_nothing_moves_end_a_training(lines: list[dict[str, Any]], named: str) -> None:
    with pytest.raises(TrainingRefused, match=named) as refused:
        learning.refuse_still(lines, LIMITS)
    assert (refused.value.code, refused.value.again) == ("stalled", False)


@pytest.mark.parametrize(
    "lines",
    [
        steps(2.0, 2.0),
        steps(2.0, 2.0, 1.9),
        steps(1.0, 1.1, 1.0, gradient=None),
        [*steps(2.0, 2.0, gradient=0.0), {"step": 3, "loss": 2.0, "gradient": 1e-9, "tokens": 1}][1:],
        [*steps(2.0, 2.0), *steps(2.0, 2.0)],
    ],
)
def test_too_few_steps_or_any_movement_is_no_reason(lines: list[dict[str, Any]]) -> None:
    learning.refuse_still(lines, LIMITS)


def test_an_end_above_the_beginning_is_refused_and_named() -> None:
    with pytest.raises(TrainingRefused, match=r"1\.1200, of the first 1\.0000"):
        learning.refuse_worse(steps(*[1.0] * 4, *[1.12] * 4), LIMITS)
    learning.refuse_worse(steps(*[1.0] * 4, *[1.09] * 4), LIMITS)
    learning.refuse_worse(steps(*[1.0] * 4, *[9.0] * 3), LIMITS)  # too short to say


@given(st.lists(st.floats(min_value=0.001, max_value=100), min_size=8, max_size=60))
def test_a_loss_that_never_rises_is_never_refused(losses: list[float]) -> None:
    learning.refuse_worse(steps(*sorted(losses, reverse=True)), LIMITS)


def test_an_adapter_that_changes_nothing_is_refused() -> None:
    with pytest.raises(TrainingRefused, match="lora_B"):
        learning.refuse_unmoved(weights(a_lora_A=[1.0], a_lora_B=[0.0, 0.0], b_lora_B=[0.0]))
    learning.refuse_unmoved(weights(a_lora_A=[1.0], a_lora_B=[0.0, 0.0], b_lora_B=[1e-30]))
    learning.refuse_unmoved(weights(model=[0.0]))


def test_without_numbers_in_the_policy_nothing_is_asked() -> None:
    learning.refuse_still(steps(2.0, 2.0, 2.0, gradient=0.0), None)
    learning.refuse_worse(steps(*[1.0] * 4, *[9.0] * 4), None)
