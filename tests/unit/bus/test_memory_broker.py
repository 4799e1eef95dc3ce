"""What only the broker in memory can do: stand still, move its clock, show everything."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_bus.testing import BEGINNING, MemoryBroker, covers
from tierproof_contracts import subjects
from tierproof_contracts.ids import task_id_of
from tierproof_contracts.task import TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.text import Text

TASK = task_id_of("acme", "1")
SUBMISSION = TaskSubmittedV1(
    tenant="acme", task_id=TASK, kind="k", safety_class="A", prompt=Text(text="x", salt="00" * 16), actor="a"
)


async def test_timers_fire_when_the_clock_is_moved() -> None:
    memory = MemoryBroker()
    await memory.bus("app-acme").publish(SUBMISSION)
    cause = memory.received(TaskSubmittedV1, SUBMISSION.subject())
    expired = TaskExpiredV1(task_id=TASK, tenant="acme", deadline="2026-01-01T00:01:00Z")
    at = BEGINNING + timedelta(minutes=1)
    router = memory.bus("router")
    await router.publish_after(expired, at=at, timer=subjects.timer_set("task", TASK), cause=cause)
    memory.advance(at - timedelta(seconds=1))
    assert await router.read(TaskExpiredV1, expired.subject()) is None
    memory.advance(at)
    found = await router.read(TaskExpiredV1, expired.subject())
    assert found is not None
    assert found.stored_at == at
    assert (
        await router.publish_after(expired, at=at, timer=subjects.timer_set("task", TASK), cause=cause)
    ).stored == "same"


async def test_what_is_not_there_is_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        MemoryBroker().received(TaskSubmittedV1, SUBMISSION.subject())


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        (">", "a", True),
        ("*", "a", True),
    ],
)
def test_patterns_cover_subjects_as_nats_says(pattern: str, subject: str, *, expected: bool) -> None:
    assert covers(pattern, subject) is expected


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
def test_a_subject_covers_itself_alone(tokens: list[str]) -> None:
    subject = ".".join(tokens)
    assert covers(subject, subject)
    assert not covers(subject, subject + ".x")
