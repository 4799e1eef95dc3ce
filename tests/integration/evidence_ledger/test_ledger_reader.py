"""Reading beside the sequencer: the same readings as here, in order, whatever becomes of the other process."""

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

import nats
import psutil
import pytest
from tierproof_embedded.testing import NatsServer
from tierproof_evidence_ledger.canonical import Delivered, Said, Unreadable, read
from tierproof_evidence_ledger.errors import ReaderLost
from tierproof_evidence_ledger.reader import Reader
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.testing import answered_task
from tierproof_evidence_ledger.testing_streams import Streams

from tests.integration.evidence_ledger.at_work import at_work, tell

STOPS, TASKS_AT_ONCE = 40, 60


async def child() -> int:
    """Return the process that reads for this one, as soon as there is one."""
    while True:
        for each in psutil.Process().children():
            if "tierproof_evidence_ledger.reader" in each.cmdline():
                return int(each.pid)
        await asyncio.sleep(0.05)


def deliveries(first: int, tasks: int) -> list[Delivered]:
    """Return what is delivered of whole tasks, and something that is no event."""
    streams = Streams()
    events = [
        message for number in range(first, first + tasks) for message in streams.deliver(answered_task(number).events)
    ]
    return [*events, streams.message("tierproof.task.expired.v1.x", b"no event")]


class Told:
    """Those that were read, in the order of being told."""

    def __init__(self) -> None:
        self.messages: list[Delivered] = []

    def __call__(self, messages: Sequence[Delivered]) -> None:
        self.messages += messages

    async def all_of(self, asked: Sequence[Delivered]) -> None:
        """Wait for so many, and compare each reading with one made here."""
        async with asyncio.timeout(30):
            while len(self.messages) < len(asked):  # noqa: ASYNC110 - told by a callback
                await asyncio.sleep(0.005)
        assert [id(message) for message in self.messages] == [id(message) for message in asked]
        assert [message.read() for message in asked] == [read(message.subject, message.content) for message in asked]


async def test_messages_are_read_as_they_are_here_and_in_order() -> None:
    told, first, second = Told(), deliveries(1, 2), deliveries(3, 1)
    async with Reader.beside() as reader, asyncio.TaskGroup() as group:
        running = group.create_task(reader.run(told))
        reader.ask(first)
        reader.ask(second)
        await told.all_of([*first, *second])
        running.cancel()
    assert isinstance(first[0].read(), Said)
    assert isinstance(first[-1].read(), Unreadable)


async def test_nothing_is_lost_between_the_processes_when_one_is_stopped_in_between() -> None:
    told, asked = Told(), [deliveries(number, TASKS_AT_ONCE) for number in range(STOPS)]
    async with Reader.beside() as reader, asyncio.TaskGroup() as group:
        running, reading = group.create_task(reader.run(told)), await child()
        for messages in asked:
            reader.ask(messages)
            os.kill(reading, signal.SIGSTOP)
            await asyncio.sleep(0.002)
            os.kill(reading, signal.SIGCONT)
            await asyncio.sleep(0.004)
        await told.all_of([message for messages in asked for message in messages])
        running.cancel()


async def test_a_reader_that_ends_is_noticed() -> None:
    async with Reader.beside() as reader:
        os.kill(await child(), signal.SIGKILL)
        with pytest.raises(ReaderLost):
            await reader.run(Told())


@pytest.mark.requirement("S9-gate")
async def test_a_reader_that_is_killed_costs_a_term_and_nothing_else(
    settings: LedgerSettings, broker: NatsServer, ledger: Any
) -> None:
    stories = [answered_task(number) for number in range(1, 4)]
    client = await nats.connect(broker.url)
    async with at_work(settings):
        for story in stories:
            await tell(client, story)
            os.kill(await child(), signal.SIGKILL)
            async with asyncio.timeout(30):
                while ledger.rows("SELECT count(*) FROM ledger.outcome WHERE task_id = %s", story.task_id) != [(1,)]:  # noqa: ASYNC110 - the table tells
                    await asyncio.sleep(0.05)
    await client.close()
    assert ledger.rows("SELECT count(*) FROM ledger.term")[0][0] > 1
    once = "SELECT count(*), count(DISTINCT (said).event_id) FROM ledger.entry WHERE (said).kind = 'event'"
    assert ledger.rows(once) == [(sum(len(story.events) for story in stories),) * 2]
