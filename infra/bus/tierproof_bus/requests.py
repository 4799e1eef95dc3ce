"""Asking a service for work, as a command line does, and waiting for the event that settles it."""

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_contracts.envelope import Event

from tierproof_bus.bus import Bus
from tierproof_bus.errors import Transient
from tierproof_bus.messages import Received
from tierproof_bus.settings import BusSettings

LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whether the request is `new`, or was there before; `settled` is the event that answers it, None when none came in time."""

    new: bool
    settled: Event | None

    def told(self, granted: type[Event]) -> dict[str, Any]:
        """Return the outcome as JSON under the word of its type, with `ok` false unless it is the one that was hoped for."""
        if self.settled is None:
            return {}
        word = self.settled.event_type.split(".")[1]
        said: dict[str, Any] = {} if isinstance(self.settled, granted) else {"ok": False}
        return {**said, word: self.settled.model_dump(mode="json", exclude_none=True)}


async def ask(
    user: str, settings: BusSettings, request: Event, event_id: str, outcomes: Mapping[str, type[Event]], *, wait: float
) -> Asked:
    """Publish a request, and look for one of its outcomes, given as types by their subjects, for `wait` seconds.

    Raises BusError; Transient when no connection comes about within `settings.answer_seconds`.
    """
    async with contextlib.AsyncExitStack() as opened:
        try:
            async with asyncio.timeout(settings.answer_seconds):
                bus = await opened.enter_async_context(Bus.connect(user, settings))
        except TimeoutError:
            at = re.sub(r"//[^@/]*@", "//", settings.nats_url)  # never a password
            because = f"no broker at {at} lets {user} in: start it with `tierproof up`, or name another one, or other credentials"
            raise Transient(because) from None
        until = time.monotonic() + wait
        published = await bus.publish(request, event_id=event_id)
        settled = None
        while wait and (settled := await _settled(bus, outcomes)) is None and time.monotonic() < until:  # noqa: ASYNC110 - a look into the stream
            await asyncio.sleep(LOOK_SECONDS)
    return Asked(new=published.stored == "new", settled=settled.data if settled else None)


async def _settled(bus: Bus, outcomes: Mapping[str, type[Event]]) -> Received[Any] | None:
    for subject, event in outcomes.items():
        if (found := await bus.read(event, subject)) is not None:
            return found
    return None
