"""What the supervisor does next for each part. Pure: time and observations come in, a state and an action go out.

A part waits for what it needs, starts, and becomes ready; when it ends it is started again after a pause that doubles with each
failure in a row; after too many it is given up. A part that runs `once` is ready when it has ended with code 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum


class Phase(Enum):
    """Where a part stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    PAUSING = "pausing"
    GIVEN_UP = "given up"


class Action(Enum):
    """What the supervisor must do now."""

    NOTHING = "nothing"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """When to start an ended part again. Times in seconds.

    The pause after failure n in a row is `first` times two to the power n-1, at most `longest`. A part that was ready for `calm`
    has no failures behind it. After `limit` failures in a row it is given up. A part that is not ready after `patience` is stopped.
    """

    first: float
    longest: float
    calm: float
    limit: int
    patience: float

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after that many failures in a row, at least one."""
        return float(min(self.first * 2 ** (failures - 1), self.longest))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A part's phase, since when (seconds on the supervisor's clock), its failures in a row, and its last exit code."""

    phase: Phase
    since: float
    failures: int = 0
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the supervisor sees of a part: None as exit code while it runs; not `alive` when it runs without doing its work."""

    exit_code: int | None
    ready: bool
    needs_ready: bool
    alive: bool = True


def step(state: State, seen: Observed, *, once: bool, policy: Restarts, now: float) -> tuple[State, Action]:
    """Return a part's next state and what must be done to get there."""
    match state.phase:
        case Phase.WAITING if seen.needs_ready:
            return replace(state, phase=Phase.STARTING, since=now), Action.START
        case Phase.PAUSING if now - state.since >= policy.pause(state.failures):
            return replace(state, phase=Phase.STARTING, since=now), Action.START
        case Phase.STARTING:
            return _starting(state, seen, once=once, policy=policy, now=now)
        case Phase.READY if not once and seen.exit_code is not None:
            calm = now - state.since >= policy.calm
            return _failed(replace(state, failures=0) if calm else state, seen, policy, now), Action.NOTHING
        case Phase.READY if not once and not seen.alive:
            return _failed(state, seen, policy, now), Action.STOP
        case _:
            return state, Action.NOTHING


def _starting(state: State, seen: Observed, *, once: bool, policy: Restarts, now: float) -> tuple[State, Action]:
    if seen.exit_code is not None:
        if once and seen.exit_code == 0:
            return State(phase=Phase.READY, since=now, exit_code=0), Action.NOTHING
        return _failed(state, seen, policy, now), Action.NOTHING
    if seen.ready and not once:
        return replace(state, phase=Phase.READY, since=now), Action.NOTHING
    if now - state.since >= policy.patience:
        return _failed(state, seen, policy, now), Action.STOP
    return state, Action.NOTHING


def _failed(state: State, seen: Observed, policy: Restarts, now: float) -> State:
    failures = state.failures + 1
    phase = Phase.GIVEN_UP if failures > policy.limit else Phase.PAUSING
    return State(phase=phase, since=now, failures=failures, exit_code=seen.exit_code)


def layers(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the parts in layers: each needs only parts of earlier layers. A need that is no part is met elsewhere.

    Raises ValueError for a circle. Stopping goes through the layers backwards.
    """
    left = {name: {need for need in wanted if need in needs} for name, wanted in needs.items()}
    ordered: list[list[str]] = []
    while left:
        free = [name for name, wanted in left.items() if not wanted & left.keys()]
        if not free:
            raise ValueError(f"these parts need each other: {', '.join(sorted(left))}")
        ordered.append(free)
        for name in free:
            del left[name]
    return ordered


def with_needs(needs: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> set[str]:
    """Return the wanted parts and all that they need, directly or not; raises KeyError for an unknown one."""
    found: set[str] = set()
    left = list(wanted)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [need for need in needs[name] if need in needs]
    return found
