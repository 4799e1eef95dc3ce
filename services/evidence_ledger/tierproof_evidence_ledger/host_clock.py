"""The clock of this machine: what the kernel says of it (adjtimex(2), Linux), and chrony, where it is installed."""

import asyncio
import ctypes
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

STATES: Final = ("ok", "insert-leap-second", "delete-leap-second", "leap-second", "leap-second-over", "error")
UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC
NANOSECOND: Final = Decimal("1e-9")
CHRONYC: Final = ("chronyc", "-n", "-c", "tracking")
# Places in the line of `chronyc -c tracking`: id, address, stratum, time, correction, ..., root delay, root dispersion, interval, leap.
ID, ADDRESS, STRATUM, CORRECTION, ROOT_DELAY, ROOT_DISPERSION, LEAP, FIELDS = 0, 1, 2, 4, 10, 11, 13, 14
LARGEST: Final = 2**53  # what a canonical integer can say; 104 days in nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A clock that could not be read, and why."""

    unknown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """What the kernel says: whether somebody disciplines the clock, and by how much it may be wrong. Errors in microseconds."""

    state: str
    synchronised: bool
    estimated_error_us: int
    max_error_us: int
    tai_offset_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChronyTracking:
    """What chrony follows. `correction_ns` is still to be added to the clock (positive: it is slow); all in nanoseconds."""

    reference: str
    stratum: int
    correction_ns: int
    root_delay_ns: int
    root_dispersion_ns: int
    leap: str


class Timex(ctypes.Structure):
    """`struct timex` of Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


def kernel_clock(library: Any = None) -> KernelClock | Unknown:  # noqa: ANN401 - ctypes has no type for a library's functions
    """Ask the kernel; nothing is set. `library` is the C library."""
    found = library or ctypes.CDLL(None, use_errno=True)
    if not hasattr(found, "adjtimex"):
        return Unknown(unknown="this system has no adjtimex")
    timex = Timex()
    state = found.adjtimex(ctypes.byref(timex))
    if state < 0:
        return Unknown(unknown=f"adjtimex: {os.strerror(ctypes.get_errno())}")
    return KernelClock(
        state=STATES[state] if state < len(STATES) else str(state),
        synchronised=not timex.status & UNSYNCHRONISED,
        estimated_error_us=timex.esterror,
        max_error_us=timex.maxerror,
        tai_offset_s=timex.tai,
    )


def tracking_of(line: str) -> ChronyTracking | Unknown:
    """Read the line of `chronyc -c tracking`."""
    fields = line.strip().split(",")
    if len(fields) != FIELDS:
        return Unknown(unknown="chronyc answers in another form than known")
    try:
        return ChronyTracking(
            reference=fields[ADDRESS] or fields[ID],  # without an address: its own clock, or a device
            stratum=int(fields[STRATUM]),
            correction_ns=_nanoseconds(fields[CORRECTION]),
            root_delay_ns=_nanoseconds(fields[ROOT_DELAY]),
            root_dispersion_ns=_nanoseconds(fields[ROOT_DISPERSION]),
            leap=fields[LEAP],
        )
    except (ValueError, InvalidOperation, OverflowError):
        return Unknown(unknown="chronyc answers in another form than known")


def _nanoseconds(seconds: str) -> int:
    nanoseconds = int(Decimal(seconds) / NANOSECOND)
    if abs(nanoseconds) >= LARGEST:
        raise OverflowError
    return nanoseconds


async def chrony_tracking(seconds: float, argv: tuple[str, ...] = CHRONYC) -> ChronyTracking | Unknown:
    """Ask the local chrony."""
    try:
        asked = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return Unknown(unknown=f"{argv[0]} is not installed")
    try:
        async with asyncio.timeout(seconds):
            said, _ = await asked.communicate()
    except TimeoutError:
        return Unknown(unknown=f"{argv[0]}: no answer within {seconds:g} s")
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.wait()
    if asked.returncode != 0:
        return Unknown(unknown=f"{argv[0]}: no chrony answers here")
    return tracking_of(said.decode(errors="replace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostClock:
    """The readers of this machine's clock; others stand in for them in tests."""

    kernel: Callable[[], KernelClock | Unknown] = kernel_clock
    chrony: Callable[[float], Awaitable[ChronyTracking | Unknown]] = chrony_tracking
