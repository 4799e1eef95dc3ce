"""One batch: messages become entries, decisions become releases, the tree grows, and all of it is committed at once."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog
from tierproof_contracts.ids import written
from tierproof_proofs.checkpoint import Checkpoint

from tierproof_evidence_ledger import canonical as forms
from tierproof_evidence_ledger import metrics
from tierproof_evidence_ledger.acts import ALARMING, Act, act_entry
from tierproof_evidence_ledger.batch import Batch, IngestKey, Outcome
from tierproof_evidence_ledger.decide import Recorded
from tierproof_evidence_ledger.desk import Desk
from tierproof_evidence_ledger.pens import Pens, covered
from tierproof_evidence_ledger.recent import RecentEvents
from tierproof_evidence_ledger.release import Position, released_event
from tierproof_evidence_ledger.rulings import PlannedRelease, given_up, planned_releases, take_off_settled
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.tree import Tree

_log = structlog.get_logger()
LONG_AGO = datetime.min.replace(tzinfo=UTC)
ROOM = 1_000_000  # entries for which partitions are made in advance


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A batch in the making: its events with their seq, what waiting decisions may have missed, tasks that it speaks of, texts."""

    recorded_at: str
    batch: Batch
    events: dict[str, tuple[Recorded, int]] = field(default_factory=dict)
    arrived: set[str] = field(default_factory=set)
    spoken_of: set[str] = field(default_factory=set)
    texts: dict[str, tuple[str, str, forms.CarriedText]] = field(default_factory=dict)

    def append(self, entry: bytes) -> int:
        self.batch.entries.append(entry)
        return self.batch.next_seq - 1

    def keep(self, message: forms.Delivered, seq: int, disposition: str, event_id: str | None = None) -> None:
        self.batch.keys.append(
            IngestKey(
                stream=message.stream_identity,
                stream_seq=message.sequence,
                seq=seq,
                disposition=disposition,
                event_id=event_id,
            )
        )


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Appends batches during one term. After an error it must be thrown away: its memory may be ahead of the database.

    `highest` is the highest recorded position per stream, `last_time` that of the newest entry, `checkpoint` the newest committed one,
    `open_from` the first entry of a task that was open then (the desk itself may be ahead of what is committed),
    `first_acts` what the term begins with, `catching_up` a name that decisions stored before this term wait for.
    """

    store: Store
    recent: RecentEvents
    tree: Tree
    desk: Desk
    vault: Vault
    pens: Pens
    term: int
    highest: dict[tuple[str, str], int]
    room: int = 0
    last_time: datetime = LONG_AGO
    checkpoint: Checkpoint | None = None
    open_from: int = 0
    first_acts: tuple[Act, ...] = ()
    catching_up: frozenset[str] = frozenset()
    sweep_every: timedelta = timedelta(0)
    swept_at: datetime = LONG_AGO
    stored_texts: OrderedDict[str, None] = field(default_factory=OrderedDict)
    texts_remembered: int = 20_000

    @property
    def size(self) -> int:
        """The number of committed entries."""
        return self.tree.size

    async def record(self, messages: Sequence[forms.Delivered], now: datetime, acts: Sequence[Act] = ()) -> Batch:
        """Commit the messages' and acts' entries with every release that they, or the time, make possible; return what was appended."""
        self.last_time = max(
            now, self.last_time
        )  # a clock that was set back does not set back the log, and is believed otherwise
        draft = _Draft(recorded_at=written(self.last_time), batch=Batch(first_seq=self.tree.size))
        self._act(draft, self.first_acts)
        await self._take_in(draft, messages)
        fresh = {event_id: recorded for event_id, (recorded, _) in draft.events.items()}
        await take_off_settled(self.desk, self.recent, draft.spoken_of)
        planned = await planned_releases(self.desk, self.recent, fresh, draft.arrived | self.catching_up)
        if abs(now - self.swept_at) >= self.sweep_every:
            self.swept_at = now
            planned += given_up(self.desk, now)
            acts = [*acts, *await self.store.acts()]
        self._release(draft, planned)
        self._act(draft, acts)
        tree, checkpoint = covered(draft.batch, self.tree, self.pens) if draft.batch.entries else (self.tree, None)
        await self._seal_texts(draft)
        if not draft.batch.is_empty:
            await self._make_room(tree.size)
            with metrics.commit_seconds.time():
                await self.store.commit(draft.batch, self.term)
        self.tree, self.catching_up, self.first_acts = tree, frozenset(), ()
        self.checkpoint = checkpoint or self.checkpoint
        self.open_from = self.desk.open_from(tree.size)
        self.recent.put(fresh.values())
        return draft.batch

    async def _take_in(self, draft: _Draft, messages: Sequence[forms.Delivered]) -> None:
        readings = [(message, message.read()) for message in await self._not_yet_recorded(messages)]
        ids = [reading.event_id for _, reading in readings if isinstance(reading, forms.Said)]
        seqs = await self.store.seqs_of(ids)
        known = {event_id: (event, seqs[event_id]) for event_id, event in (await self.store.events(seqs)).items()}
        for message, reading in readings:
            match reading:
                case forms.Said():
                    earlier = draft.events.get(reading.event_id) or known.get(reading.event_id)
                    self._take_event(draft, message, reading, earlier)
                case forms.Advised():
                    seq = draft.append(forms.entry_of(message, reading, "advisory", draft.recorded_at))
                    draft.keep(message, seq, "advisory")
                case forms.Unreadable():
                    self._take_unreadable(draft, message, reading)

    async def _not_yet_recorded(self, messages: Sequence[forms.Delivered]) -> list[forms.Delivered]:
        """Return messages at positions that are not recorded, each position once."""
        once = {(message.stream_identity, message.sequence): message for message in messages}
        doubtful = [place for place in once if place[1] <= self.highest.get(place[0], 0)]
        recorded = await self.store.recorded_positions(doubtful)
        for stream, sequence in once:
            self.highest[stream] = max(sequence, self.highest.get(stream, 0))
        return [message for place, message in once.items() if place not in recorded]

    def _take_event(
        self, draft: _Draft, message: forms.Delivered, said: forms.Said, earlier: tuple[Recorded, int] | None
    ) -> None:
        if earlier and earlier[0].digest == said.digest:
            draft.keep(message, earlier[1], "duplicate")
            return
        content = forms.entry_of(message, said, "conflict" if earlier else "event", draft.recorded_at)
        if why := forms.unfit(content):
            self._take_unreadable(draft, message, forms.Unreadable(reason=why))
            return
        seq = draft.append(content)
        tenant, task_id = str(said.data.get("tenant", "")), str(said.data.get("task_id", ""))
        draft.texts |= {text.commitment: (tenant, task_id, text) for text in said.texts}
        if earlier:
            draft.keep(message, seq, "conflict")
            _log.warning("event.conflict", event_id=said.event_id, event_type=said.event_type, seq=seq)
            return
        draft.keep(message, seq, "recorded", said.event_id)
        entry = {"kind": "event", "received_at": message.stored_at, "event": said.envelope}
        draft.events[said.event_id] = (_recorded(said), seq)
        draft.arrived.update(self.desk.learn(seq, entry))
        draft.spoken_of.add(task_id)

    def _take_unreadable(self, draft: _Draft, message: forms.Delivered, reading: forms.Unreadable) -> None:
        content = forms.entry_of(message, reading, "rejected", draft.recorded_at)
        seq = draft.append(content)
        draft.keep(message, seq, "rejected")
        entry = orjson.loads(content)
        self.desk.learn(seq, entry)
        draft.spoken_of.add(entry.get("task_id", ""))
        _log.warning("message.rejected", stream=message.stream, stream_seq=message.sequence, reason=reading.reason)

    def _release(self, draft: _Draft, planned: Sequence[PlannedRelease]) -> None:
        size = draft.batch.next_seq + len(planned)
        for plan in planned:
            at = Position(log=self.pens.origin, index=draft.batch.next_seq, size=size)
            event = released_event(plan.task, plan.outcome, plan.because, at, draft.recorded_at)
            seq = draft.append(forms.release_entry(event, plan.review, draft.recorded_at))
            decision: Mapping[str, Any] | None = plan.task.decision
            outcome = Outcome(
                task_id=plan.task.task_id,
                seq=seq,
                status=plan.outcome["status"],
                decision=decision["id"] if decision else None,
            )
            draft.batch.outcomes.append(outcome)
            draft.batch.outbox.append(("release", seq))

    def _act(self, draft: _Draft, acts: Sequence[Act]) -> None:
        for act in acts:
            seq = draft.append(act_entry(act, draft.recorded_at))
            draft.batch.acts[act.act_id] = seq
            if act.in_database:
                draft.batch.database_acts.append((act.act_id, seq))
            if act.type in ALARMING:
                _log.warning("ledger.act", type=act.type, seq=seq)

    async def _make_room(self, size: int) -> None:
        """Have partitions well before they are needed."""
        if size + ROOM // 2 > self.room:
            self.room = size + ROOM
            await self.store.make_room(self.room)

    async def _seal_texts(self, draft: _Draft) -> None:
        new = {name: carried for name, carried in draft.texts.items() if name not in self.stored_texts}
        by_tenant: dict[str, list[tuple[str, forms.CarriedText]]] = {}
        for tenant, task_id, text in new.values():
            by_tenant.setdefault(tenant, []).append((task_id, text))
        keys = await self.store.text_keys(sorted(by_tenant))
        for tenant, texts in sorted(by_tenant.items()):
            if tenant not in keys:
                keys[tenant] = self.vault.new_key(tenant)
                draft.batch.text_keys.append(keys[tenant])
            draft.batch.texts += self.vault.seal(texts, keys[tenant])
        self.stored_texts.update(dict.fromkeys(new))
        while len(self.stored_texts) > self.texts_remembered:
            self.stored_texts.popitem(last=False)


def _recorded(said: forms.Said) -> Recorded:
    return Recorded(
        event_id=said.event_id,
        event_type=said.event_type,
        digest=said.digest,
        data=said.data,
        cause=said.envelope.get("causationid"),
    )
