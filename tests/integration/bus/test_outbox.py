"""The transactional outbox, on a real database and a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import psycopg
import pytest
from tierproof_bus import Bus, outbox
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_embedded.testing import NatsServer

Build = Callable[..., TaskSubmittedV1]

pytestmark = pytest.mark.requirement("BUS-delivery")


@pytest.fixture
async def table(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(outbox.CREATE_TABLE)
        await connection.commit()
        yield connection


@pytest.fixture
def relay(acme: Bus, database: str) -> outbox.Relay:
    return outbox.Relay(
        connect=lambda: psycopg.AsyncConnection.connect(database),
        bus=acme,
        batch=10,
        pause=0.05,
        away=psycopg.OperationalError,
    )


def sealed(acme: Bus, submission: TaskSubmittedV1, number: int) -> Envelope[TaskSubmittedV1]:
    return acme._publisher.envelope(submission, None, f"00000000-0000-4000-8000-{number:012d}")


async def pending(connection: psycopg.AsyncConnection) -> int:
    cursor = await connection.execute("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    row = await cursor.fetchone()
    await connection.commit()
    assert row is not None
    return int(row[0])


async def test_what_was_rolled_back_is_never_published(
    table: psycopg.AsyncConnection, relay: outbox.Relay, acme: Bus, router: Bus, submission: Build
) -> None:
    async with table.cursor() as cursor:
        await outbox.write(cursor, sealed(acme, submission("kept"), 1))
        await table.commit()
        await outbox.write(cursor, sealed(acme, submission("undone"), 2))
        await table.rollback()
    assert await relay.relay() == 1
    assert await relay.relay() == 0
    assert await router.read(TaskSubmittedV1, submission("kept").subject()) is not None
    assert await router.read(TaskSubmittedV1, submission("undone").subject()) is None


async def test_a_crash_between_publishing_and_marking_publishes_nothing_twice(
    table: psycopg.AsyncConnection, relay: outbox.Relay, acme: Bus, router: Bus, submission: Build
) -> None:
    async with table.cursor() as cursor:
        await outbox.write(cursor, sealed(acme, submission(), 1))
    await table.commit()
    await relay.relay()
    await table.execute("UPDATE outbox SET published_at = NULL")
    await table.commit()
    assert await relay.relay() == 1
    assert await router.read_sequence("TASK", 1) is not None
    assert await router.read_sequence("TASK", 2) is None


async def test_the_relay_waits_for_a_broker_that_is_away_and_keeps_the_order(
    broker: NatsServer,
    table: psycopg.AsyncConnection,
    relay: outbox.Relay,
    acme: Bus,
    router: Bus,
    submission: Build,
) -> None:
    started = datetime.now(tz=UTC)
    async with table.cursor() as cursor:
        for number in range(5):
            await outbox.write(cursor, sealed(acme, submission(str(number)), number))
    await table.commit()
    broker.kill()
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    await asyncio.sleep(1.0)
    assert await pending(table) == 5
    broker.start()
    async with asyncio.timeout(20):
        while await pending(table):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    stop.set()
    await running
    ids = [found.id for n in range(1, 6) if (found := await router.read_sequence("TASK", n)) is not None]
    assert ids == [f"00000000-0000-4000-8000-{number:012d}" for number in range(5)]
    assert (datetime.now(tz=UTC) - started).total_seconds() < 20


async def test_two_relays_share_the_work(
    table: psycopg.AsyncConnection, relay: outbox.Relay, acme: Bus, router: Bus, submission: Build
) -> None:
    async with table.cursor() as cursor:
        for number in range(30):
            await outbox.write(cursor, sealed(acme, submission(str(number)), number))
    await table.commit()
    moved = 0
    while await pending(table):
        moved += sum(await asyncio.gather(relay.relay(), relay.relay()))
    assert moved == 30
    assert await router.read_sequence("TASK", 30) is not None
    assert await router.read_sequence("TASK", 31) is None
