"""Times are given out in order, whatever the clock does and however often the authority starts anew."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_tsa.errors import ClockWentBack, StateUnusable
from tierproof_tsa.ticks import EPOCH, RANDOM_BITS, TICK, Ticks, next_time, serial_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
clock_readings = st.lists(st.integers(0, 5_000_000).map(lambda ticks: NOON + ticks * TICK), max_size=30)


@given(clock_readings)
def test_given_times_increase_and_are_never_further_off_than_claimed(readings: list[datetime]) -> None:
    last = EPOCH
    for now in readings:
        try:
            at = next_time(now, last, SECOND)
        except ClockWentBack:
            assert last + TICK - now > SECOND
            continue
        assert at > last
        assert timedelta(0) <= at - now <= SECOND
        last = at


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0), st.integers(0))
def test_serials_follow_the_times(at: datetime, first: int, second: int) -> None:
    if at >= EPOCH:
        assert serial_of(at + TICK, second) > serial_of(at, first) >= 0
        assert serial_of(at, first) >> RANDOM_BITS == (at - EPOCH) // TICK


def test_a_serial_has_at_most_twenty_bytes() -> None:
    last = datetime(9999, 12, 31, tzinfo=UTC)
    assert serial_of(last, 2**64 - 1).bit_length() < 160


def test_the_order_outlives_a_restart(tmp_path: Path) -> None:
    with Ticks(tmp_path / "state", SECOND) as ticks:
        first = ticks.after(NOON)
    with Ticks(tmp_path / "state", SECOND) as ticks:
        assert ticks.after(NOON - SECOND / 2) == first + TICK
        with pytest.raises(ClockWentBack, match="set the clock"):
            ticks.after(NOON - timedelta(hours=1))
        assert ticks.after(NOON + SECOND) == NOON + SECOND


def test_a_kill_loses_no_time(tmp_path: Path) -> None:
    ticks = Ticks(tmp_path / "state", SECOND)
    ticks.after(NOON)
    left_behind = (tmp_path / "state").read_bytes()
    ticks.close()
    (tmp_path / "copy").write_bytes(left_behind)
    with Ticks(tmp_path / "copy", SECOND) as after_kill:
        assert after_kill.after(NOON) == NOON + TICK


def test_two_authorities_do_not_share_a_state(tmp_path: Path) -> None:
    with Ticks(tmp_path / "state", SECOND), pytest.raises(StateUnusable, match="another"):
        Ticks(tmp_path / "state", SECOND)
    Ticks(tmp_path / "state", SECOND).close()


@pytest.mark.parametrize("damage", [b"x", b"12", b"0" * 19 + b"\n", b"-" + b"1" * 19 + b"\n", b"1" * 30])
def test_a_damaged_state_is_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "state").write_bytes(damage)
    with pytest.raises(StateUnusable, match="state"):
        Ticks(tmp_path / "state", SECOND)


def test_the_state_is_the_owners_alone(tmp_path: Path) -> None:
    with Ticks(tmp_path / "deep" / "state", SECOND):
        assert (tmp_path / "deep" / "state").stat().st_mode & 0o777 == 0o600
