"""Clock evidence: offsets follow from readings by arithmetic, what is unknown says why, and all of it can stand in the log."""

import asyncio
import ctypes
import errno
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_evidence_ledger.canonical import canonical
from tierproof_evidence_ledger.clock import (
    EPOCH,
    ClockUnreadable,
    Offset,
    OwnClock,
    broker_time,
    clock_evidence,
    gathered,
    instant,
    measured,
    microseconds,
    offset_of,
)
from tierproof_evidence_ledger.host_clock import (
    ChronyTracking,
    HostClock,
    KernelClock,
    Timex,
    Unknown,
    kernel_clock,
    tracking_of,
)

TRACKING = "C0A80001,192.168.0.1,3,1795423238.137018502,{},0.000061,0.000105,-12.345,0.002,0.1,0.0012345,0.000567,64.4,Normal\n"
KERNEL = KernelClock(state="ok", synchronised=True, estimated_error_us=120, max_error_us=9000, tai_offset_s=37)


class World:
    """A world with one true time; our clock is off by `ours`, theirs by `theirs`; each way takes a while. In microseconds."""

    def __init__(self, *, ours: int, theirs: int, ways: list[tuple[int, int]]) -> None:
        self.true, self.ours, self.theirs, self.ways = 1_700_000_000_000_000, ours, theirs, ways

    @property
    def clock(self) -> OwnClock:
        return OwnClock(now=lambda: self.true + self.ours, monotonic=lambda: self.true)

    async def ask(self) -> datetime:
        there, back = self.ways.pop(0)
        self.true += there
        answer = EPOCH + timedelta(microseconds=self.true + self.theirs)
        self.true += back
        return answer


small = st.integers(0, 10_000_000)
any_offset = st.integers(-(10**12), 10**12)


@given(any_offset, any_offset, st.lists(st.tuples(small, small), min_size=1, max_size=5))
async def test_the_true_offset_lies_within_half_of_the_round_trip(
    ours: int, theirs: int, ways: list[tuple[int, int]]
) -> None:
    world = World(ours=ours, theirs=theirs, ways=list(ways))
    found = await measured(world.ask, world.clock, tries=len(ways), seconds=60)
    assert isinstance(found, Offset)
    assert found.round_trip_us == min(there + back for there, back in ways)
    assert abs(found.offset_us - (theirs - ours)) <= (found.round_trip_us + 1) // 2


def test_an_even_way_gives_the_offset_exactly() -> None:
    assert offset_of(1_000, 8_500, 1_000) == Offset(offset_us=7_000, round_trip_us=1_000)


async def test_a_clock_that_is_set_during_a_question_does_not_change_the_round_trip() -> None:
    world = World(ours=0, theirs=0, ways=[(10, 10)])
    readings = iter([world.true, world.true + 3_600_000_000])
    found = await measured(
        world.ask, OwnClock(now=readings.__next__, monotonic=lambda: world.true), tries=1, seconds=60
    )
    assert found == Offset(offset_us=0, round_trip_us=20)


async def _raising(error: Exception) -> datetime:
    raise error


async def _naive() -> datetime:
    return datetime(2026, 3, 1)  # noqa: DTZ001 - the wrong that is tested


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: _raising(ClockUnreadable("no time there")), "no time there"),
        (lambda: _raising(ConnectionRefusedError(errno.ECONNREFUSED, "at 10.0.0.7")), "ConnectionRefusedError"),
        (_naive, "a clock that names no time zone"),
    ],
)
async def test_a_clock_that_cannot_be_asked_says_why(ask: Callable[[], Awaitable[datetime]], words: str) -> None:
    assert await measured(ask, OwnClock(), tries=3, seconds=60) == Unknown(unknown=words)


async def test_a_clock_that_does_not_answer_is_not_waited_for() -> None:
    async def never() -> datetime:
        await asyncio.Event().wait()
        raise AssertionError

    assert await measured(never, OwnClock(), tries=1, seconds=0.001) == Unknown(unknown="no answer within 0.001 s")


async def test_a_fault_in_our_own_code_is_not_taken_for_an_unknown_clock() -> None:
    with pytest.raises(ZeroDivisionError):
        await measured(lambda: _raising(ZeroDivisionError()), OwnClock(), tries=1, seconds=60)


@pytest.mark.requirement("LED-append")
async def test_the_evidence_can_stand_in_the_log() -> None:
    async def chrony(_seconds: float) -> ChronyTracking | Unknown:
        return tracking_of(TRACKING.format("0.000000626"))

    async def broken() -> datetime:
        raise ClockUnreadable("gone")

    world = World(ours=-5_000, theirs=0, ways=[(100, 100)] * 3)
    host = HostClock(kernel=lambda: KERNEL, chrony=chrony)
    found = await gathered({"database": world.ask, "broker": broken}, host, tries=3, seconds=60, clock=world.clock)
    assert found == {
        "read_at_us": 1_700_000_000_000_600 - 5_000,
        "kernel": {
            "state": "ok",
            "synchronised": True,
            "estimated_error_us": 120,
            "max_error_us": 9000,
            "tai_offset_s": 37,
        },
        "chrony": {
            "reference": "192.168.0.1",
            "stratum": 3,
            "correction_ns": 626,
            "root_delay_ns": 1_234_500,
            "root_dispersion_ns": 567_000,
            "leap": "Normal",
        },
        "offsets": {"database": {"offset_us": 5_000, "round_trip_us": 200}, "broker": {"unknown": "gone"}},
    }
    canonical(found)


@given(any_offset, small, st.text(max_size=20))
def test_whatever_was_read_is_canonical(offset: int, trip: int, why: str) -> None:
    found = clock_evidence(
        read_at_us=abs(offset),
        kernel=Unknown(unknown=why),
        chrony=tracking_of(why),
        offsets={"database": Offset(offset_us=offset, round_trip_us=trip)},
    )
    canonical(found)


@pytest.mark.parametrize(
    ("correction", "nanoseconds"),
    [("0.000000626", 626), ("-0.000072261", -72_261), ("1557.763061523", 1_557_763_061_523), ("1e-7", 100)],
)
def test_chrony_s_correction_is_read_exactly(correction: str, nanoseconds: int) -> None:
    found = tracking_of(TRACKING.format(correction))
    assert isinstance(found, ChronyTracking)
    assert found.correction_ns == nanoseconds


def test_a_reference_without_an_address_is_named_by_its_id() -> None:
    found = tracking_of("7F7F0101,,9,1.5,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal\n")
    assert isinstance(found, ChronyTracking)
    assert found.reference == "7F7F0101"


@pytest.mark.parametrize("wrong", ["", "506 Cannot talk to daemon\n", "a,b", TRACKING.format("NaN")])
def test_words_of_chrony_that_are_no_tracking_are_unknown(wrong: str) -> None:
    assert isinstance(tracking_of(wrong), Unknown)
    assert isinstance(tracking_of(wrong.replace("NaN", "Infinity").replace("a", "1e300")), Unknown)


class Kernel:
    """A C library whose adjtimex answers as told."""

    def __init__(self, state: int, **fields: int) -> None:
        self.state, self.fields = state, fields

    def adjtimex(self, pointer: Any) -> int:
        timex = ctypes.cast(pointer, ctypes.POINTER(Timex)).contents
        assert timex.modes == 0  # nothing may be set
        for name, value in self.fields.items():
            setattr(timex, name, value)
        return self.state


def test_the_kernel_s_words_are_taken_over() -> None:
    found = kernel_clock(Kernel(0, esterror=120, maxerror=9000, tai=37, status=0x2001))
    assert found == KERNEL


def test_an_undisciplined_clock_is_said() -> None:
    found = kernel_clock(Kernel(5, status=0x40, esterror=16_000_000, maxerror=16_000_000))
    assert isinstance(found, KernelClock)
    assert (found.state, found.synchronised) == ("error", False)
    unheard_of = kernel_clock(Kernel(9))
    assert isinstance(unheard_of, KernelClock)
    assert unheard_of.state == "9"


def test_a_kernel_that_does_not_say_is_unknown() -> None:
    ctypes.set_errno(errno.EPERM)
    assert kernel_clock(Kernel(-1)) == Unknown(unknown="adjtimex: Operation not permitted")
    assert kernel_clock(object()) == Unknown(unknown="this system has no adjtimex")


def test_microseconds_are_those_of_the_instant_whatever_its_zone() -> None:
    noon = datetime(2026, 3, 1, 12, 0, 0, 7, tzinfo=UTC)
    assert microseconds(noon) == microseconds(noon.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert microseconds(EPOCH + timedelta(microseconds=3)) == 3


@pytest.mark.parametrize(
    ("text", "after_the_second"),
    [("2026-03-01T12:00:00Z", 0), ("2026-03-01T12:00:00.5Z", 500_000), ("2026-03-01T12:00:00.123456789Z", 123_456)],
)
def test_a_broker_s_time_is_read_to_the_microsecond(text: str, after_the_second: int) -> None:
    assert instant(text) == datetime(2026, 3, 1, 12, 0, 0, after_the_second, tzinfo=UTC)
    assert broker_time(b'{"ts": "%s"}' % text.encode()) == instant(text)


@pytest.mark.parametrize(
    "text", ["", "Z", "noon", "2026-03-01T12:00:00", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00.-1Z"]
)
def test_words_that_are_no_time_are_said(text: str) -> None:
    with pytest.raises(ClockUnreadable):
        instant(text)


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"ts": 7}', b'{"error": {"code": 404}}', b"\xff"])
def test_an_answer_without_a_time_is_said(answer: bytes) -> None:
    with pytest.raises(ClockUnreadable):
        broker_time(answer)
