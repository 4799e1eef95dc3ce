"""What the clocks say, as plain integers and strings for an act `ledger.clocked.v1`: 21 CFR 11.10(e) asks for time-stamped records.

Three witnesses: the kernel (is the clock synchronised, how wrong may it be), chrony where it runs (against what), and the clocks of
database and broker as seen from here (do those who stamp our records agree).
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.host_clock import ChronyTracking, HostClock, KernelClock, Unknown

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
FRACTION: Final = 6  # digits of a second that count: the broker gives nine, the database six

Ask = Callable[[], Awaitable[datetime]]


class ClockUnreadable(LedgerError):
    """A clock whose answer is no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnClock:
    """This process's clock: the time now, and a count that nobody sets; both in microseconds."""

    now: Callable[[], int] = lambda: time.time_ns() // 1000
    monotonic: Callable[[], int] = lambda: time.monotonic_ns() // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """How far another clock is ahead of ours, at the middle of a question's round trip; right within half of that."""

    offset_us: int
    round_trip_us: int


def clock_evidence(
    *,
    read_at_us: int,
    kernel: KernelClock | Unknown,
    chrony: ChronyTracking | Unknown,
    offsets: Mapping[str, Offset | Unknown],
) -> dict[str, Any]:
    """Return the act's data; `offsets` by the name of the other clock. What could not be read says `unknown`, and why."""
    return {
        "read_at_us": read_at_us,
        "kernel": asdict(kernel),
        "chrony": asdict(chrony),
        "offsets": {name: asdict(offset) for name, offset in offsets.items()},
    }


def offset_of(before_us: int, theirs_us: int, elapsed_us: int) -> Offset:
    """Return another clock's offset: asked at `before_us` of our clock, answered after `elapsed_us` (RFC 5905, figure 16, one stamp)."""
    return Offset(offset_us=theirs_us - (before_us + elapsed_us // 2), round_trip_us=elapsed_us)


def closest(offsets: Iterable[Offset]) -> Offset:
    """Return the offset of the shortest round trip: the least of it was spent waiting."""
    return min(offsets, key=lambda each: each.round_trip_us)


async def measured(ask: Ask, clock: OwnClock, *, tries: int, seconds: float) -> Offset | Unknown:
    """Ask another clock a few times; Unknown when it does not answer within `seconds`, or fails."""
    try:
        async with asyncio.timeout(seconds):
            return closest([await _once(ask, clock) for _ in range(tries)])
    except TimeoutError:
        return Unknown(unknown=f"no answer within {seconds:g} s")
    except LedgerError as error:
        return Unknown(unknown=error.diagnosis())
    except OSError as error:
        return Unknown(unknown=type(error).__name__)


async def gathered(
    clocks: Mapping[str, Ask], host: HostClock, *, tries: int, seconds: float, clock: OwnClock | None = None
) -> dict[str, Any]:
    """Return the evidence of now: `clocks` are those of others by name; an ask that cannot tell raises LedgerError or OSError."""
    own = clock or OwnClock()
    offsets = {name: await measured(ask, own, tries=tries, seconds=seconds) for name, ask in clocks.items()}
    return clock_evidence(
        read_at_us=own.now(), kernel=host.kernel(), chrony=await host.chrony(seconds), offsets=offsets
    )


async def _once(ask: Ask, clock: OwnClock) -> Offset:
    before, began = clock.now(), clock.monotonic()
    theirs = await ask()
    return offset_of(before, microseconds(theirs), clock.monotonic() - began)


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970; raises ClockUnreadable for a time without a zone."""
    if at.tzinfo is None:
        raise ClockUnreadable("a clock that names no time zone")
    return (at - EPOCH) // MICROSECOND


def instant(text: str) -> datetime:
    """Read an RFC 3339 time in UTC with any number of decimals, such as the broker's `ts`; raises ClockUnreadable."""
    whole, dot, decimals = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or (dot and not (decimals.isascii() and decimals.isdigit())):
        raise ClockUnreadable("a clock whose answer is no time in UTC")
    try:
        read = datetime.strptime(whole + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        raise ClockUnreadable("a clock whose answer is no time in UTC") from None
    return read + int((decimals + "0" * FRACTION)[:FRACTION]) * MICROSECOND


def broker_time(answer: bytes) -> datetime:
    """Return the broker's time: the `ts` of its answer to `$JS.API.STREAM.INFO.<stream>`; raises ClockUnreadable."""
    try:
        text = json.loads(answer)["ts"]
    except (ValueError, KeyError, TypeError):
        raise ClockUnreadable(
            "the broker's answer names no time: it is older than 2.10, or there is no such stream"
        ) from None
    if not isinstance(text, str):
        raise ClockUnreadable("the broker's time is no text")
    return instant(text)
