"""The newest events, kept in memory: most of what a decision cites was recorded moments before."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from tierproof_evidence_ledger.decide import Recorded
from tierproof_evidence_ledger.store import Store


class RecentEvents:
    """Events as the ledger holds them, the `most` newest from memory, others from the store."""

    def __init__(self, store: Store, most: int) -> None:
        self._store, self._most = store, most
        # Not a dict, which looks for its oldest key among the places of all that it has forgotten.
        self._events: OrderedDict[str, Recorded] = OrderedDict()

    def put(self, events: Iterable[Recorded]) -> None:
        """Remember committed events."""
        self._events.update((event.event_id, event) for event in events)
        while len(self._events) > self._most:
            self._events.popitem(last=False)

    async def events(self, event_ids: Iterable[str]) -> dict[str, Recorded]:
        """Return recorded events by id."""
        wanted = set(event_ids)
        here = {event_id: self._events[event_id] for event_id in wanted & self._events.keys()}
        return here | await self._store.events(wanted - here.keys())

    async def outcomes_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of the tasks that have their outcome."""
        return await self._store.outcomes_of(task_ids)
