"""QLoRA by its lock alone: it is not run on a GPU here, so what is held is that it begins nowhere without one."""

import pytest
from pydantic import ValidationError
from tierproof_contracts.train_lock import TrainLock
from tierproof_trainer.decide import differences

from tests.unit.trainer.test_training_decisions import judged, lock_of

LORA = {"rank": 8, "alpha": 16, "dropout": "0", "targets": ["q_proj"], "quantized": True}
ENVIRONMENT = {"python": "3.11.7", "packages": {"torch": "2.13.0"}, "instruction_set": "AVX2", "threads": 1}
GPU = {**ENVIRONMENT, "cuda": "12.8", "driver": "570.1"}


@pytest.mark.requirement("S4-lora")
def test_a_base_in_4_bits_needs_a_lock_that_names_a_gpu() -> None:
    with pytest.raises(ValidationError, match=r"lora\.quantized"):
        lock_of(lora=LORA, environment=ENVIRONMENT)
    lock = lock_of(lora=LORA, environment=GPU)
    assert TrainLock.model_validate_json(lock.model_dump_json()) == lock
    assert lock.digest() != lock_of(lora={**LORA, "quantized": False}, environment=GPU).digest()


def test_it_is_admitted_only_where_that_gpu_is() -> None:
    lock = lock_of(lora=LORA, environment=GPU)
    assert judged(lock) == "admitted"
    assert judged(lock, cuda=None) == "another-environment"
    assert differences(lock.environment, lock.environment.model_copy(update={"cuda": "12.4"})) == [
        "cuda: locked 12.8, found 12.4"
    ]
