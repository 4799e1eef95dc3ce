"""How a delivery ends: done, again later, or given up. Pure."""

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from tierproof_contracts.errors import ContractError, NotCanonical, UnknownEvent, Unreadable

from tierproof_bus.errors import BusError, Misdirected, NotPermitted, TooLarge, Transient, UntrustedDocument

LONGEST_DETAIL = 500
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (UnknownEvent, "unknown-event"),
    (Unreadable, "unreadable"),
    (NotCanonical, "unreadable"),
    (Misdirected, "misdirected"),
    (UntrustedDocument, "untrusted-document"),
    (TooLarge, "too-large"),
    (NotPermitted, "not-permitted"),
)


@dataclass(frozen=True, slots=True)
class Done:
    """The handler returned."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Deliver it again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Give it up. `detail` names types and places, never values."""

    reason: str
    detail: str


Settlement = Done | Retry | Dead


def settle(error: BaseException | None, attempt: int, delays: Sequence[float]) -> Settlement:
    """Decide how the `attempt`-th delivery (from 1) ends; `delays` in seconds, one per retry."""
    match error:
        case None:
            return Done()
        case asyncio.CancelledError() | KeyboardInterrupt() | SystemExit():
            return Retry(0.0)  # the process stops: nothing was wrong with the message
        case Transient() if attempt <= len(delays):
            return Retry(delays[attempt - 1])
        case Transient():
            return Dead("gave-up", f"after {attempt} attempts: {error.diagnosis()}"[:LONGEST_DETAIL])
        case _:
            return Dead(reason_of(error), detail_of(error))


def reason_of(error: BaseException) -> str:
    """Return the dead letter's reason: one token."""
    return next((reason for kind, reason in REASONS if isinstance(error, kind)), "crashed")


def detail_of(error: BaseException) -> str:
    """Return what is known of an error without its words, unless they are our own: those hold no texts."""
    if isinstance(error, BusError | ContractError):
        return error.diagnosis()[:LONGEST_DETAIL]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"[:LONGEST_DETAIL]
