"""The README's example does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest
from tierproof_bus import Transient
from tierproof_bus.testing import MemoryBroker
from tierproof_contracts.ids import task_id_of
from tierproof_contracts.task import TaskDecidedV1, TaskSubmittedV1
from tierproof_contracts.text import Text

README = Path(__file__).parents[3] / "infra/bus/README.md"


async def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(example, str(README), "exec"), names)  # noqa: S102 - our own file
    memory = MemoryBroker()
    for kind in ("greeting", "patience"):
        submission = TaskSubmittedV1(
            tenant="acme",
            task_id=task_id_of("acme", kind),
            kind=kind,
            safety_class="A",
            prompt=Text(text="hello", salt="00" * 16),
            actor="a",
        )
        await memory.bus("app-acme").publish(submission)
        event = memory.received(TaskSubmittedV1, submission.subject())
        if kind == "patience":
            with pytest.raises(Transient):
                await names["decline"](event, memory.bus("router"))
            continue
        await names["decline"](event, memory.bus("router"))
        await names["decline"](event, memory.bus("router"))
    (decided,) = memory.of_type(TaskDecidedV1)
    assert decided.cites == (memory.received(TaskSubmittedV1, memory.stored[0].subject).citation,)
