"""One batch: messages become entries, decisions become releases, the tree grows, and all of it is committed at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.merkle import leaf_hash
from tierproof_proofs.note import NoteSigner

from tierproof_evidence_ledger import canonical as forms
from tierproof_evidence_ledger.batch import Batch, IngestKey, Outcome
from tierproof_evidence_ledger.decide import Recorded
from tierproof_evidence_ledger.desk import Desk
from tierproof_evidence_ledger.release import Position, released_event
from tierproof_evidence_ledger.rulings import PlannedRelease, given_up, planned_releases
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store, recorded_in
from tierproof_evidence_ledger.tree import Tree

_log = structlog.get_logger()
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A batch in the making: its events with their seq, what waiting decisions may have missed, texts with their tenants."""

    first_seq: int
    recorded_at: str
    batch: Batch = field(default_factory=Batch)
    events: dict[str, tuple[Recorded, int]] = field(default_factory=dict)
    arrived: frozenset[str] = frozenset()
    texts: dict[str, tuple[str, forms.CarriedText]] = field(default_factory=dict)

    @property
    def next_seq(self) -> int:
        return self.first_seq + len(self.batch.entries)

    def append(self, entry: bytes) -> int:
        seq = self.next_seq
        self.batch.entries.append((seq, entry))
        return seq

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

    `highest` is the highest recorded position per stream identity, `announced` the last published checkpoint's size and time,
    `catching_up` a name that decisions stored before this term wait for.
    """

    store: Store
    tree: Tree
    desk: Desk
    vault: Vault
    signer: NoteSigner
    term: int
    highest: dict[str, int]
    announce_every: timedelta
    catching_up: frozenset[str] = frozenset()
    announced: tuple[int, datetime] = (0, LONG_AGO)
    sweep_every: timedelta = timedelta(0)
    swept_at: datetime = LONG_AGO
    stored_texts: dict[str, None] = field(default_factory=dict)
    texts_remembered: int = 20_000

    @property
    def size(self) -> int:
        """The number of committed entries."""
        return self.tree.size

    async def record(self, messages: Sequence[forms.Delivered], now: datetime) -> Batch:
        """Commit the messages' entries with every release that they, or the time, make possible; return what was appended."""
        draft = _Draft(first_seq=self.tree.size, recorded_at=written(now))
        await self._take_in(draft, messages)
        fresh = {event_id: recorded for event_id, (recorded, _) in draft.events.items()}
        planned = await planned_releases(self.desk, self.store, fresh, draft.arrived | self.catching_up)
        planned += self._overdue(now)
        self._release(draft, planned)
        tree = self._grow(draft)
        self._announce(draft.batch, tree.size, now)
        await self._seal_texts(draft)
        if not draft.batch.is_empty:
            await self.store.commit(draft.batch, self.term)
        self.tree, self.catching_up = tree, frozenset()
        return draft.batch

    async def _take_in(self, draft: _Draft, messages: Sequence[forms.Delivered]) -> None:
        readings = [(message, forms.read(message)) for message in await self._not_yet_recorded(messages)]
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
        seq = draft.append(forms.entry_of(message, said, "conflict" if earlier else "event", draft.recorded_at))
        tenant = str(said.data.get("tenant", ""))
        draft.texts |= {text.commitment: (tenant, text) for text in said.texts}
        if earlier:
            draft.keep(message, seq, "conflict")
            _log.warning("event.conflict", event_id=said.event_id, event_type=said.event_type, seq=seq)
            return
        draft.keep(message, seq, "recorded", said.event_id)
        entry = {"kind": "event", "received_at": message.stored_at, "event": said.envelope}
        draft.events[said.event_id] = (recorded_in(entry), seq)
        draft.arrived |= self.desk.learn(entry)

    def _take_unreadable(self, draft: _Draft, message: forms.Delivered, reading: forms.Unreadable) -> None:
        content = forms.entry_of(message, reading, "rejected", draft.recorded_at)
        draft.keep(message, draft.append(content), "rejected")
        self.desk.learn(orjson.loads(content))
        _log.warning("message.rejected", stream=message.stream, stream_seq=message.sequence, reason=reading.reason)

    def _overdue(self, now: datetime) -> list[PlannedRelease]:
        """Give up tasks whose time is over, looking once per `sweep_every`."""
        if now - self.swept_at < self.sweep_every:
            return []
        self.swept_at = now
        return given_up(self.desk, now)

    def _release(self, draft: _Draft, planned: Sequence[PlannedRelease]) -> None:
        size = draft.next_seq + len(planned)
        for plan in planned:
            at = Position(log=self.signer.name, index=draft.next_seq, size=size)
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

    def _grow(self, draft: _Draft) -> Tree:
        leaves = [leaf_hash(content) for _, content in draft.batch.entries]
        tree, draft.batch.tiles = self.tree.grown(leaves)
        if leaves:
            checkpoint = Checkpoint(origin=self.signer.name, size=tree.size, root=tree.frontier.root())
            draft.batch.checkpoint = (tree.size, sign_checkpoint(checkpoint, self.signer), b"".join(leaves))
        return tree

    def _announce(self, batch: Batch, size: int, now: datetime) -> None:
        last_size, last_time = self.announced
        if size > last_size and now - last_time >= self.announce_every:
            batch.outbox.append(("checkpoint", size))
            self.announced = (size, now)

    async def _seal_texts(self, draft: _Draft) -> None:
        new = {name: carried for name, carried in draft.texts.items() if name not in self.stored_texts}
        tenants = sorted({tenant for tenant, _ in new.values()})
        keys = await self.store.text_keys(tenants)
        for tenant in tenants:
            if tenant not in keys:
                keys[tenant] = self.vault.new_key(tenant)
                draft.batch.text_keys.append(keys[tenant])
        draft.batch.texts = [self.vault.seal(text, keys[tenant]) for tenant, text in new.values()]
        self.stored_texts |= dict.fromkeys(new)
        while len(self.stored_texts) > self.texts_remembered:
            del self.stored_texts[next(iter(self.stored_texts))]


def written(moment: datetime) -> str:
    """Return a UTC time as entries hold it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
