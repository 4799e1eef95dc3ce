"""Sequencer, database and broker are killed at drawn moments while events arrive: none is lost, none is recorded twice.

`make test-kills` runs it with 50 kills and 200,000 events and writes loadtests/results/ledger_kills.json. TIERPROOF_KILL_SEED chooses
other moments.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests import machine
from tests.faults.evidence_ledger.kill_campaign import Course, fought
from tests.faults.evidence_ledger.kill_checks import Findings, checked
from tests.faults.evidence_ledger.kill_parts import Stack, whole_stack
from tests.faults.evidence_ledger.kill_plan import SUBJECTS, drawn

KILLS = int(os.environ.get("TIERPROOF_KILLS", "12"))
EVENTS = int(os.environ.get("TIERPROOF_KILL_EVENTS", "20000"))
SEED = int(os.environ.get("TIERPROOF_KILL_SEED", "20261123"))
RESULT = os.environ.get("TIERPROOF_KILL_RESULT")
SECONDS = 90 + 5 * KILLS + EVENTS // 200
REST = 60.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Broker, database, witness and sequencer of this test's own."""
    with whole_stack(tmp_path) as running:
        yield running


@pytest.mark.parametrize("kills", [1, 12, 50])
def test_a_plan_follows_from_its_seed_and_gives_each_part_its_share(kills: int) -> None:
    for seed in range(100):
        blows = drawn(seed, kills=kills, events=20_000)
        assert blows == drawn(seed, kills=kills, events=20_000)
        assert sum(blow.kills for blow in blows) == kills
        shares = Counter(part for blow in blows for part in (*blow.parts, *(blow.again or ())[:1]) if part in SUBJECTS)
        assert max(shares.values()) - min(shares[part] for part in SUBJECTS) <= 1
        assert [blow.at for blow in blows] == sorted(blow.at for blow in blows)
        assert all(0 < blow.at < 20_000 for blow in blows)
    assert drawn(1, kills=kills, events=20_000) != drawn(2, kills=kills, events=20_000)


@pytest.mark.timeout(SECONDS)
@pytest.mark.requirement("LED-append")
@pytest.mark.requirement("LED-proof")
@pytest.mark.requirement("BUS-delivery")
def test_no_event_is_lost_or_recorded_twice(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    described = machine.describe()

    def tell(words: str) -> None:
        with capsys.disabled():
            print(words)

    tell(f"\nseed {SEED} (TIERPROOF_KILL_SEED)")
    blows = drawn(SEED, kills=KILLS, events=EVENTS)
    course = fought(stack, blows, events=EVENTS, rest=REST, tell=tell)
    findings = checked(stack, course.told)
    tell(f"{len(course.told)} events, {len(course.kills)} kills; ends of their own: {course.ends}; {findings.counts}")
    if RESULT:
        machine.write(RESULT, _result(described, course, findings))
    assert findings.faults == []
    assert len(course.told) == course.tasks * 7
    assert sum(kill.part in SUBJECTS for kill in course.kills) == KILLS
    assert set(course.ends["ledger"]) <= {70, 78}, stack.logs()


def _result(described: dict[str, object], course: Course, findings: Findings) -> dict[str, object]:
    counts = course.to_json()
    return {
        "what": f"{len(course.told)} events of {course.tasks} tasks are published while sequencer, PostgreSQL and nats-server are killed "
        f"{KILLS} times with SIGKILL, the witness now and then besides; afterwards everything that tells of the log is compared",
        "machine": described,
        "seed": SEED,
        "targets": {"faults": {"at_most": 0, "met": not findings.faults}},
        "faults": findings.faults,
        "checked": findings.counts,
        **counts,
    }
