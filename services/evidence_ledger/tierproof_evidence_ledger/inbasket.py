"""What was delivered and not recorded yet: messages in order of arrival, and acts that somebody waits to see recorded."""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from typing import Any

from tierproof_evidence_ledger.acts import Act
from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.errors import NotInOffice
from tierproof_evidence_ledger.pull import Pull

Item = tuple[Pull, Delivered, str]
Noted = tuple[Act, "asyncio.Future[int]"]


class Inbasket:
    """One term's messages and acts. Messages are read on arrival: while a batch commits, the next one is prepared."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._acts: list[Noted] = []
        self._waiting: dict[uuid.UUID, asyncio.Future[int]] = {}
        self._more = asyncio.Event()
        self._closed = False

    def put(self, pull: Pull, message: Delivered, reply: str) -> None:
        """Add a message with the subject that acknowledges it."""
        message.read()
        self._items.append((pull, message, reply))
        self._more.set()

    async def note(self, kind: str, data: Mapping[str, Any]) -> int:
        """Have an act recorded and return its entry's seq; raises NotInOffice when the term ends before."""
        if self._closed:
            raise NotInOffice("this process is not the sequencer now")
        recorded = asyncio.get_running_loop().create_future()
        self._acts.append((Act(type=kind, data=data), recorded))
        self._more.set()
        return int(await recorded)

    async def take(self, most: int, *, linger: float, patience: float) -> tuple[list[Item], list[Act]]:
        """Return up to `most` messages, and all acts: wait `patience` for the first, then `linger` for more. Seconds."""
        await self._wait(1, patience)
        if self._items or self._acts:
            await self._wait(most, linger)
        taken, self._items = self._items[:most], self._items[most:]
        acts, self._acts = self._acts, []
        self._waiting |= {act.act_id: waiting for act, waiting in acts}
        return taken, [act for act, _ in acts]

    def recorded(self, batch: Batch) -> None:
        """Tell who waits for an act of this batch at which entry it is."""
        for act_id in batch.acts.keys() & self._waiting.keys():
            waiting = self._waiting.pop(act_id)
            if not waiting.done():
                waiting.set_result(batch.acts[act_id])

    def close(self) -> None:
        """Tell who still waits that the term has ended."""
        self._closed = True
        for waiting in (*self._waiting.values(), *(future for _, future in self._acts)):
            if not waiting.done():
                waiting.set_exception(NotInOffice("the sequencer's term has ended"))

    async def _wait(self, enough: int, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self._items) + len(self._acts) < enough:
                    self._more.clear()
                    await self._more.wait()
