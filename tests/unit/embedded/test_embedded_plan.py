"""The restart policy and the order of parts, as tables and laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_embedded.plan import Action, Observed, Phase, Restarts, State, layers, step

POLICY = Restarts(first=0.2, longest=5.0, calm=60.0, limit=3, patience=30.0)
RUNNING = Observed(exit_code=None, ready=False, needs_ready=True)
READY = Observed(exit_code=None, ready=True, needs_ready=True)
BLOCKED = Observed(exit_code=None, ready=False, needs_ready=False)
CRASHED = Observed(exit_code=-9, ready=False, needs_ready=True)
STUCK = Observed(exit_code=None, ready=False, needs_ready=True, alive=False)
SUCCEEDED = Observed(exit_code=0, ready=False, needs_ready=True)


def at(phase: Phase, *, since: float = 100.0, failures: int = 0) -> State:
    return State(phase=phase, since=since, failures=failures)


@pytest.mark.parametrize(
    ("state", "seen", "once", "now", "phase", "action"),
    [
        (at(Phase.WAITING), BLOCKED, False, 101.0, Phase.WAITING, Action.NOTHING),
        (at(Phase.WAITING), RUNNING, False, 101.0, Phase.STARTING, Action.START),
        (at(Phase.STARTING), RUNNING, False, 129.9, Phase.STARTING, Action.NOTHING),
        (at(Phase.STARTING), READY, False, 101.0, Phase.READY, Action.NOTHING),
        (at(Phase.STARTING), CRASHED, False, 101.0, Phase.PAUSING, Action.NOTHING),
        (at(Phase.STARTING), RUNNING, False, 130.0, Phase.PAUSING, Action.STOP),
        (at(Phase.STARTING), SUCCEEDED, True, 101.0, Phase.READY, Action.NOTHING),
        (at(Phase.STARTING), SUCCEEDED, False, 101.0, Phase.PAUSING, Action.NOTHING),
        (at(Phase.STARTING), CRASHED, True, 101.0, Phase.PAUSING, Action.NOTHING),
        (at(Phase.STARTING, failures=3), CRASHED, False, 101.0, Phase.GIVEN_UP, Action.NOTHING),
        (at(Phase.PAUSING, failures=1), CRASHED, False, 100.1, Phase.PAUSING, Action.NOTHING),
        (at(Phase.PAUSING, failures=1), CRASHED, False, 100.2, Phase.STARTING, Action.START),
        (at(Phase.PAUSING, failures=2), CRASHED, False, 100.3, Phase.PAUSING, Action.NOTHING),
        (at(Phase.READY), READY, False, 101.0, Phase.READY, Action.NOTHING),
        (at(Phase.READY), CRASHED, False, 101.0, Phase.PAUSING, Action.NOTHING),
        (at(Phase.READY), STUCK, False, 101.0, Phase.PAUSING, Action.STOP),
        (at(Phase.READY), SUCCEEDED, True, 101.0, Phase.READY, Action.NOTHING),
        (at(Phase.READY, failures=3), CRASHED, False, 101.0, Phase.GIVEN_UP, Action.NOTHING),
        (at(Phase.GIVEN_UP, failures=4), RUNNING, False, 999.0, Phase.GIVEN_UP, Action.NOTHING),
    ],
)
def test_a_part_moves_as_the_table_says(
    state: State, seen: Observed, *, once: bool, now: float, phase: Phase, action: Action
) -> None:
    following, done = step(state, seen, once=once, policy=POLICY, now=now)
    assert (following.phase, done) == (phase, action)


def test_a_calm_hour_forgives_earlier_failures() -> None:
    following, _ = step(at(Phase.READY, failures=3), CRASHED, once=False, policy=POLICY, now=160.0)
    assert (following.phase, following.failures) == (Phase.PAUSING, 1)


def test_the_pause_doubles_up_to_its_bound() -> None:
    assert [POLICY.pause(failures) for failures in (1, 2, 3, 4, 5, 6, 50)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@given(st.lists(st.sampled_from([RUNNING, READY, CRASHED, BLOCKED]), max_size=40))
def test_a_part_that_never_gets_calm_is_started_a_bounded_number_of_times(looks: list[Observed]) -> None:
    state, starts = State(phase=Phase.WAITING, since=0.0), 0
    for second, seen in enumerate(looks):
        state, action = step(state, seen, once=False, policy=POLICY, now=float(second))
        starts += action is Action.START
    assert starts <= POLICY.limit + 1


def test_parts_come_in_layers_by_what_they_need() -> None:
    needs = {
        "router": ("nats", "provision"),
        "nats": (),
        "provision": ("nats",),
        "ledger": ("provision", "postgres"),
        "postgres": (),
    }
    assert layers(needs) == [["nats", "postgres"], ["provision"], ["router", "ledger"]]


def test_a_need_that_is_served_elsewhere_is_met() -> None:
    assert layers({"router": ("nats",)}) == [["router"]]


def test_parts_that_need_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="need each other: a, b"):
        layers({"a": ("b",), "b": ("a",), "c": ()})
