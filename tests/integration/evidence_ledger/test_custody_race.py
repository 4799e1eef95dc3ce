"""Holding and erasing at the same moment: one comes before the other, and everybody can read which.

Real connections of the two roles, many rounds, while a sequencer sweeps what they do into the log.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from psycopg import sql
from tierproof_evidence_ledger import custody
from tierproof_evidence_ledger.deeds_told import ERASED, HELD, UNHELD
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.term import Office
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.trust import Trust

ROUNDS = int(os.environ.get("TIERPROOF_RACES", "60"))
SEED = int(os.environ.get("TIERPROOF_RACES_SEED", "20261123"))
LEAD = 0.02  # seconds by which one may come before the other
NEW_KEY = "INSERT INTO ledger.text_key (key_id, tenant, wrapped) VALUES (gen_random_uuid(), %s, decode(repeat('00', 60), 'hex'))"
Ledger = Any  # LedgerDatabase
Told = list[tuple[str, dict[str, Any]]]


def placed_slowly(dsn: str, tenant: str, pauses: tuple[float, float]) -> UUID:
    """Hold a tenant's texts in a transaction that begins late and stays open for a while."""
    time.sleep(pauses[0])
    with psycopg.connect(dsn) as rows:
        made = rows.execute("SELECT ledger.place_hold(%s, 'litigation')", [tenant]).fetchall()[0][0]
        time.sleep(pauses[1])
    return UUID(str(made))


def erased_late(dsn: str, tenant: str, pause: float) -> int | None:
    """Return how many keys an erasure destroyed, None where a hold was before it."""
    time.sleep(pause)
    try:
        return custody.erase(dsn, tenant, "asked by the tenant")
    except custody.UnderHold:
        return None


def key_first_stored(dsn: str, tenant: str, pause: float) -> None:
    """Store a tenant's key, as the sequencer does with its first text."""
    time.sleep(pause)
    with psycopg.connect(dsn) as rows:
        rows.execute(NEW_KEY, [tenant])


async def race(ledger: Ledger, number: int, dice: random.Random) -> int | None:
    """Let one hold and one erasure of a tenant run into each other, and return what the erasure did."""
    tenant = f"tenant-{number}"
    jobs: list[Any] = []
    if dice.random() < 0.7:
        key_first_stored(ledger.dsn("ledger_writer"), tenant, 0)
    else:
        jobs.append(asyncio.to_thread(key_first_stored, ledger.dsn("ledger_writer"), tenant, dice.uniform(0, LEAD)))
    pauses = dice.uniform(0, LEAD), dice.choice([0.0, dice.uniform(0, LEAD)])
    holding = asyncio.to_thread(placed_slowly, ledger.dsn("ledger_holder"), tenant, pauses)
    erasing = asyncio.to_thread(erased_late, ledger.dsn("ledger_eraser"), tenant, dice.uniform(0, LEAD))
    hold, erased, *_ = await asyncio.gather(holding, erasing, *jobs)
    assert erased is None or isinstance(erased, int)
    if dice.random() < 0.3:
        custody.lift_hold(ledger.dsn("ledger_holder"), hold, "over")
        custody.erase(ledger.dsn("ledger_eraser"), tenant, "now it may be")
    return erased


def erased_under_a_hold(told: Told) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield erasures of what was held, in the order in which acts are told."""
    holds: dict[str, set[str]] = {}
    for kind, said in told:
        held = holds.setdefault(said["tenant"], set())
        if kind == HELD:
            held.add(said["hold"])
        elif kind == UNHELD:
            held.remove(said["hold"])
        elif kind == ERASED and held:
            yield kind, said


@pytest.mark.requirement("S6-phi")
@pytest.mark.part11("11.10(c)")
@pytest.mark.timeout(max(60, ROUNDS))
async def test_a_hold_and_an_erasure_come_one_after_the_other(
    recorder: Recorder, ledger: Ledger, office: Office
) -> None:
    dice, done = random.Random(SEED), asyncio.Event()

    async def sweeping() -> None:
        while not done.is_set():
            await recorder.record([], datetime.now(UTC))
            await asyncio.sleep(0.005)

    sweeper = asyncio.create_task(sweeping())
    came = [await race(ledger, number, dice) for number in range(ROUNDS)]
    done.set()
    await sweeper
    await recorder.record([], datetime.now(UTC))
    assert came.count(1) > ROUNDS // 10, "some erasures were first"
    assert came.count(None) > ROUNDS // 10, "some holds were first"
    entries = [
        orjson.loads(bytes(row[0]))["event"] for row in ledger.rows("SELECT canonical FROM ledger.entry ORDER BY seq")
    ]
    in_log: Told = [(event["type"], event["data"]) for event in entries]
    assert list(erased_under_a_hold(in_log)) == []
    assert list(erased_under_a_hold(in_tables(ledger))) == [], "the tables tell the same order as the log"
    gone = {said["tenant"] for kind, said in in_log if kind == ERASED}
    there = {row[0] for row in ledger.rows("SELECT tenant FROM ledger.text_key")}
    assert gone & there == set()
    assert gone | there == {f"tenant-{number}" for number in range(ROUNDS)}
    report = verify(ledger.dsn("ledger_auditor"), Trust(log_keys=(LogKey(key=office.signer.verifier_key),)))
    assert report.faults == []


def in_tables(ledger: Ledger) -> Told:
    """Return deeds in the order of the times that the tables themselves give."""
    found = ledger.rows(
        """SELECT %s, placed_at, tenant, hold_id::text FROM ledger.v_hold
           UNION ALL SELECT %s, lifted_at, tenant, hold_id::text FROM ledger.v_hold WHERE lifted_at IS NOT NULL
           UNION ALL SELECT %s, erased_at, tenant, '' FROM ledger.v_erasure ORDER BY 2""",
        *(HELD, UNHELD, ERASED),
    )
    return [(kind, {"tenant": tenant, "hold": hold}) for kind, _, tenant, hold in found]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_an_erasure_that_waited_for_a_hold_sees_it(ledger: Ledger, isolation: str) -> None:
    """Whatever the eraser sets for itself: under an older snapshot the hold would not be there."""
    ledger.rows(NEW_KEY, "acme")
    level = sql.SQL("SET default_transaction_isolation = {}").format(sql.Literal(isolation))

    def erase() -> str:
        with psycopg.connect(ledger.dsn("ledger_eraser"), autocommit=True) as rows:
            rows.execute(level)
            try:
                rows.execute("SELECT ledger.erase_texts_of('acme', 'asked')")
            except psycopg.Error as error:
                return str(error.sqlstate)
        return "erased"

    with psycopg.connect(ledger.dsn("ledger_holder")) as holder:
        holder.execute("SELECT ledger.place_hold('acme', 'litigation')")
        erasing = asyncio.create_task(asyncio.to_thread(erase))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with asyncio.timeout(5):
            while not erasing.done() and ledger.rows(waiting) == [(0,)]:  # noqa: ASYNC110 - the server tells
                await asyncio.sleep(0.01)
    refused = {"read committed": "55006"}.get(isolation, "25001")
    assert await erasing == refused
    assert ledger.rows("SELECT count(*) FROM ledger.text_key") == [(1,)]
