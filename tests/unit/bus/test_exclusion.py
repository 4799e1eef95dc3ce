"""On which subjects publications exclude each other."""

import pytest
from tierproof_bus.publish import exclusion_of, id_of_subject
from tierproof_contracts import subjects


@pytest.mark.requirement("BUS-delivery")
def test_two_tiers_of_one_request_exclude_each_other() -> None:
    first, second = (subjects.inference_requested(tier, "r-1") for tier in ("s", "m"))
    assert exclusion_of("inference.requested.v1", first) == exclusion_of("inference.requested.v1", second)
    assert exclusion_of("inference.requested.v1", first) == "tierproof.inference.requested.v1.*.r-1"


def test_two_kinds_of_one_verification_exclude_each_other() -> None:
    subject = subjects.verification_requested("unit-test", "r-1")
    assert exclusion_of("verification.requested.v1", subject) == "tierproof.verification.requested.v1.*.r-1"


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("inference.settled.v1", subjects.inference_settled("s", "r-1")),
        ("task.submitted.v1", subjects.task_submitted("acme", "acme_x")),
        ("timer.set.v1", subjects.timer_set("review", "acme_x")),
        ("task.decided.v1", subjects.task_decided("acme_x")),
    ],
)
def test_a_subject_that_others_may_write_next_to_excludes_only_itself(event_type: str, subject: str) -> None:
    """A worker must not block another tier's settlement, nor one tenant another one's task."""
    assert exclusion_of(event_type, subject) == subject


def test_an_event_without_a_readable_cause_takes_its_id_from_its_subject() -> None:
    assert id_of_subject("a.b") == id_of_subject("a.b") != id_of_subject("a.c")
