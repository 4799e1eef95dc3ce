"""The campaign: kills at drawn moments while events arrive; then everything comes to rest, and nothing may be missing or twice."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import nats.errors
import psycopg

from tests.faults.evidence_ledger.kill_parts import Stack
from tests.faults.evidence_ledger.kill_plan import SUBJECTS, Blow
from tests.faults.evidence_ledger.stored_messages import unread
from tests.faults.evidence_ledger.surely_published import EVENTS_PER_TASK, Publication, Recorded, Told

TICK = 0.005
ANSWER_SECONDS = 5.0  # of the broker, about its consumers
STUCK_SECONDS = 60.0  # without any event being acknowledged or recorded
AT_REST = """
    SELECT (SELECT count(*) FROM ledger.v_outbox WHERE stream_seq IS NULL) AS unpublished,
           (SELECT max(seq) + 1 FROM ledger.entry) - (SELECT coalesce(max(size), 0) FROM ledger.published_checkpoint) AS unwitnessed"""


class Stuck(Exception):
    """Nothing goes on any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One SIGKILL that was sent, `seconds` after the campaign began, to a process that had been running for `up_seconds`.

    By then so many events were `acknowledged` and `recorded`; the longest time until the next kill in which nothing was recorded is
    `stood_still_seconds`.
    """

    part: str
    seconds: float
    up_seconds: float
    acknowledged: int
    recorded: int
    together_with: tuple[str, ...] = ()
    in_restart: bool = False
    stood_still_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What happened. `ends` are exit codes of ends that no kill caused, by part; `terms` how often a sequencer took office.

    Of the publications some had to be `repeated`, and `found` of these were there already.
    """

    tasks: int
    told: dict[str, Told]
    kills: tuple[Kill, ...]
    starts: dict[str, int]
    ends: dict[str, list[int]]
    terms: int
    repeated: int
    found: int
    publishing_seconds: float
    rest_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return it as a result says it: without the events, the kills counted and then named one by one."""
        said = asdict(self)
        del said["told"]
        counted = {part: sum(kill.part == part for kill in self.kills) for part in (*SUBJECTS, "witness")}
        return {"acknowledged": len(self.told), "killed": counted, **said}


@dataclass(slots=True, kw_only=True)
class Campaign:
    """Carries out blows on a running stack."""

    stack: Stack
    publication: Publication
    recorded: Recorded
    blows: Sequence[Blow]
    tell: Callable[[str], None]
    kills: list[Kill] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _due: list[tuple[float, Blow]] = field(default_factory=list)
    _again: list[tuple[Blow, int]] = field(default_factory=list)
    _last_record: tuple[int, float] = (0, 0.0)

    def run(self) -> None:
        """Until every event is acknowledged and every kill is done; raises Stuck."""
        waiting, watched = list(self.blows), self._watched()
        while waiting or self._due or self._again or self.publication.running:
            self._look()
            while waiting and self.publication.acknowledged >= waiting[0].at:
                blow = waiting.pop(0)
                self._due.append((time.monotonic() + blow.wait, blow))
            self._strike_together()
            self._strike_again()
            next(watched)
            if self.publication.failed is not None:
                raise self.publication.failed

    def rest(self, seconds: float) -> None:
        """Wait until all that was published is recorded, out, under a witnessed checkpoint, and acknowledged to the broker; raises Stuck.

        The last takes longest: what was delivered to a sequencer that died is recorded by the next one at once, out of the stream, but
        acknowledged only when the broker delivers it again.
        """
        until = time.monotonic() + seconds
        while not self._at_rest():
            for _ in range(20):
                self._look()
            if time.monotonic() > until:
                raise Stuck(f"not at rest after {seconds} s: {self._state()}\n{self.stack.logs()}")

    def _look(self) -> None:
        """Let some time go by, start what has ended, and note how long nothing was recorded."""
        time.sleep(TICK)
        for part in self.stack.parts.values():
            part.look()
        now, (count, since) = time.monotonic(), self._last_record
        if self.recorded.count != count:
            self._last_record = (self.recorded.count, now)
        elif self.kills and self.recorded.count < self.publication.events:
            last = self.kills[-1]
            still = round(now - max(since, self._began + last.seconds), 2)
            self.kills[-1] = replace(last, stood_still_seconds=max(still, last.stood_still_seconds))

    def _strike_together(self) -> None:
        """Kill what is due; a part that is down just now is killed as soon as it runs."""
        now, parts = time.monotonic(), self.stack.parts
        for at, blow in list(self._due):
            if at <= now and all(parts[name].ended is None for name in blow.parts):
                self._due.remove((at, blow))
                for name in blow.parts:
                    self._kill(name, blow, tuple(other for other in blow.parts if other != name))
                if blow.again:
                    self._again.append((blow, parts[blow.again[0]].starts))

    def _strike_again(self) -> None:
        for blow, starts in list(self._again):
            if blow.again is None:
                continue
            name, after = blow.again
            part = self.stack.parts[name]
            if part.ended is None and part.starts > starts and time.monotonic() - part.started >= after:
                self._again.remove((blow, starts))
                self._kill(name, blow, (), in_restart=True)

    def _kill(self, name: str, blow: Blow, others: tuple[str, ...], *, in_restart: bool = False) -> None:
        kill = Kill(
            part=name,
            seconds=round(time.monotonic() - self._began, 2),
            up_seconds=round(self.stack.parts[name].kill(blow.down), 2),
            acknowledged=self.publication.acknowledged,
            recorded=self.recorded.count,
            together_with=others,
            in_restart=in_restart,
        )
        self.kills.append(kill)
        said = f"{kill.seconds:7.2f} s  kill {len(self.kills):2}: {name}, up {kill.up_seconds} s"
        self.tell(f"{said}, {kill.acknowledged} events acknowledged, {kill.recorded} recorded")

    def _watched(self) -> Iterator[None]:
        """Yield for as long as something goes on; raises Stuck."""
        state, since = (0, 0, 0), time.monotonic()
        while True:
            now = (self.publication.acknowledged, self.recorded.count, len(self.kills))
            if now != state:
                state, since = now, time.monotonic()
            if time.monotonic() - since > STUCK_SECONDS:
                raise Stuck(f"nothing went on for {STUCK_SECONDS} s: {self._state()}\n{self.stack.logs()}")
            yield

    def _at_rest(self) -> bool:
        if self.recorded.count < self.publication.acknowledged:
            return False
        try:
            return self.stack.ledger.rows(AT_REST) == [(0, 0)] and not asyncio.run(self._unread())
        except (psycopg.Error, nats.errors.Error, OSError, TimeoutError):
            return False

    async def _unread(self) -> dict[str, str]:
        return await asyncio.wait_for(unread(self.stack.nats.url), ANSWER_SECONDS)

    def _state(self) -> str:
        parts = {name: part.child.exit_code() for name, part in self.stack.parts.items()}
        return (
            f"{self.publication.acknowledged} of {self.publication.events} events acknowledged, "
            f"{self.recorded.count} recorded; exit codes {parts}"
        )


def fought(stack: Stack, blows: Sequence[Blow], *, events: int, rest: float, tell: Callable[[str], None]) -> Course:
    """Publish at least so many events, strike, wait until all is at rest, stop the sequencer in order; raises Stuck.

    No more is published than half the way to the next kill before what is recorded: the sequencer works again before most of them.
    """
    tasks = -(-events // EVENTS_PER_TASK)
    ahead = max(500, events // max(1, 2 * len(blows)))
    with (
        Recorded(stack.ledger.dsn()) as recorded,
        Publication(url=stack.nats.url, tasks=tasks, ahead=ahead, recorded=recorded) as publication,
    ):
        campaign = Campaign(stack=stack, publication=publication, recorded=recorded, blows=blows, tell=tell)
        began = time.monotonic()
        campaign.run()
        published = time.monotonic()
        campaign.rest(rest)
        ended = time.monotonic()
    sequencer = stack.parts["ledger"]
    sequencer.child.stop()
    sequencer.ends += [code] if (code := sequencer.child.exit_code()) else []
    return Course(
        tasks=tasks,
        told=publication.told,
        kills=tuple(campaign.kills),
        starts={name: part.starts for name, part in stack.parts.items()},
        ends={name: part.ends for name, part in stack.parts.items()},
        terms=int(stack.ledger.rows("SELECT count(*) FROM ledger.term")[0][0]),
        repeated=publication.repeated,
        found=publication.found,
        publishing_seconds=round(published - began, 1),
        rest_seconds=round(ended - published, 1),
    )
