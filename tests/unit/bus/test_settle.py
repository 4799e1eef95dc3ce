"""How a delivery ends, decided without any broker."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_bus.errors import Misdirected, NotPermitted, Refused, TooLarge, Transient, UntrustedDocument
from tierproof_bus.settle import Dead, Done, Retry, detail_of, settle
from tierproof_contracts.errors import NotCanonical, UnknownEvent, Unreadable

DELAYS = (0.2, 1.0, 5.0)

pytestmark = pytest.mark.requirement("BUS-delivery")


def test_a_handler_that_returns_is_done() -> None:
    assert settle(None, 1, DELAYS) == Done()


@pytest.mark.parametrize(("attempt", "delay"), [(1, 0.2), (2, 1.0), (3, 5.0)])
def test_transient_trouble_waits_longer_each_time(attempt: int, delay: float) -> None:
    assert settle(Transient("away"), attempt, DELAYS) == Retry(delay)


def test_after_the_last_delay_transient_trouble_is_given_up() -> None:
    assert settle(Transient("away"), 4, DELAYS) == Dead("gave-up", "after 4 attempts: away")


@given(attempt=st.integers(1, 100), delays=st.lists(st.floats(0, 60), max_size=7))
def test_no_retry_without_limit(attempt: int, delays: list[float]) -> None:
    ending = settle(Transient("away"), attempt, delays)
    assert isinstance(ending, Retry) is (attempt <= len(delays))


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(1)])
def test_a_process_that_stops_gives_its_message_back_at_once(error: BaseException) -> None:
    assert settle(error, 9, DELAYS) == Retry(0.0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreadable("data.tenant: missing"), "unreadable"),
        (NotCanonical("data: float"), "unreadable"),
        (UnknownEvent("type: 'task.submitted.v2'"), "unknown-event"),
        (Misdirected("elsewhere"), "misdirected"),
        (UntrustedDocument("no signature"), "untrusted-document"),
        (TooLarge("s", 2, 1), "too-large"),
        (NotPermitted("s", "u"), "not-permitted"),
        (Refused("no"), "crashed"),
        (ZeroDivisionError(), "crashed"),
    ],
)
def test_everything_else_is_dead_at_once_with_its_reason(error: Exception, reason: str) -> None:
    ending = settle(error, 1, DELAYS)
    assert isinstance(ending, Dead)
    assert ending.reason == reason


def test_foreign_errors_are_told_by_type_and_place_never_by_their_words() -> None:
    with pytest.raises(ValueError, match="patient") as caught:
        int("the patient's name")
    detail = detail_of(caught.value)
    assert detail.startswith("ValueError at test_settle.py:")
    assert "patient" not in detail


def test_a_detail_fits_its_field() -> None:
    ending = settle(Transient("x" * 2000), 9, DELAYS)
    assert isinstance(ending, Dead)
    assert len(ending.detail) == 500
