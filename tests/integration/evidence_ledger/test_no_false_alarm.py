"""Ledgers that nobody touched, after traffic of every odd kind: verification finds nothing, on any of them.

20 seeded ledgers in CI, as many as TIERPROOF_CLEAN_LEDGERS says otherwise.
"""

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tierproof_evidence_ledger import custody
from tierproof_evidence_ledger.acts import VERIFIED, Act
from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import REVIEWERS, abstained_task, answered_task, published, text
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_evidence_ledger.unsealing import open_texts
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.trust import Trust

from tests.integration.evidence_ledger.campaign_ledger import NEXT

SEED = 20261123
EDGES = (0, 1, 255, 256, 257, 1023, 1024, 1025)  # sizes at which a tile, a batch or the log begins or ends
LEDGERS = max(len(EDGES), int(os.environ.get("TIERPROOF_CLEAN_LEDGERS", "20")))
NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SUBJECT = "tierproof.task.submitted.v1.acme.acme_" + 32 * "f"
Ledger = Any  # LedgerDatabase
OVERLAP = 400  # entries; more than a batch: a reader follows to the next key under a checkpoint of the old one
ODD_WORDS = (
    "",
    " ",
    "\u0000",
    "é",
    "e\u0301",
    "\u2028",
    "\U0001f600" * 50,
    "\u0627\u202e",
    "\\u0000",
    '"}',
    "x" * 40_000,
    "\ufeff",
    "NaN",
)
ODD_NUMBERS = (0, -0.0, 1e400, 2**53, -(2**63), 2**64, 1.5, 1e-7, 10**30, True, None)
TENANTS = ("acme", "globex")


@dataclass(slots=True, kw_only=True)
class Traffic:
    """One ledger's traffic: dice, a broker's positions, and the next task's number."""

    dice: random.Random
    streams: Streams = field(default_factory=Streams)
    number: int = 0

    def some(self) -> list[Delivered]:
        """Return the messages of one batch."""
        kinds: Sequence[Callable[[], list[Delivered]]] = (
            *(self.task,) * 3, self.duplicate, self.conflict, self.refused_bytes, self.odd_members, self.unicode, self.partial,
        )  # fmt: skip
        found = [message for _ in range(self.dice.randint(1, 5)) for message in self.dice.choice(kinds)()]
        if self.dice.random() < 0.3:
            found += self.dice.sample(found, min(len(found), 3))  # delivered again, at the same positions
        if self.dice.random() < 0.3:
            self.dice.shuffle(found)
        return found

    def story(self) -> Any:
        self.number += 1
        if self.dice.random() < 0.2:
            return abstained_task(self.number, tenant=self.dice.choice(TENANTS))
        return answered_task(self.number, safety_class=self.dice.choice("ABC"), tenant=self.dice.choice(TENANTS))

    def task(self) -> list[Delivered]:
        return self.streams.deliver(self.story().events)

    def partial(self) -> list[Delivered]:
        events = self.story().events
        return self.streams.deliver(self.dice.sample(events, self.dice.randint(1, len(events))))

    def duplicate(self) -> list[Delivered]:
        events = self.story().events
        return self.streams.deliver([*events, *self.dice.sample(events, 2)])

    def conflict(self) -> list[Delivered]:
        story = self.story()
        return self.streams.deliver([*story.events, story.deciding(because="else")["task.decided.v1"]])

    def refused_bytes(self) -> list[Delivered]:
        content = self.dice.choice(
            [
                b"",
                b"{",
                b"[]",
                b"null",
                b'{"a":1,"a":2}',
                b"\xff\xfe",
                self.dice.randbytes(300),
                b"[" * 5000,
                b'{"data":' * 900,
                b"9" * 70_000,
            ]
        )
        return [self.streams.message(SUBJECT, content)]

    def odd_members(self) -> list[Delivered]:
        """An event with members that no contract knows, of every kind, and deep."""
        envelope = self.story().events[0].model_dump(mode="json", exclude_none=True)
        odd: Any = self.dice.choice([*ODD_WORDS, *ODD_NUMBERS, {"digest": 7}, ["sha256:", None], {}])
        for _ in range(self.dice.choice([0, 1, 30, 200])):
            odd = self.dice.choice([[odd], {"x": odd}])
        where = self.dice.choice([envelope, envelope["data"]])
        where[self.dice.choice(["digest", "model", "signer", "more", "kind", "settlement", "extra"])] = odd
        content = json.dumps(envelope).encode()
        subject = f"tierproof.task.submitted.v1.{envelope['data']['tenant']}.{envelope['data']['task_id']}"
        return [self.streams.message(subject, content)]

    def unicode(self) -> list[Delivered]:
        words = self.dice.choice([word for word in ODD_WORDS if word])
        return self.streams.deliver(self.story().saying("task.submitted.v1", prompt=text(words)).events)


@dataclass(slots=True, kw_only=True)
class Life:
    """A ledger's life: terms, deeds and batches."""

    ledger: Ledger
    office: Office
    traffic: Traffic
    now: datetime = NOON
    turned: bool = False

    async def day(self, batches: int) -> None:
        """Hold office for some batches; deeds happen between them; in the end the ledger verifies itself."""
        store = await Store.open(self.ledger.dsn("ledger_writer"))
        try:
            recorder = await begin(store, self.office)
            for _ in range(batches):
                self.now += timedelta(
                    seconds=self.traffic.dice.choice([-5, 0, 1, 60, 86_400 * 400])
                )  # clocks go back, too
                await recorder.record(self.traffic.some(), self.now)
                if self.traffic.dice.random() < 0.3:
                    await self.deed()
                if self.traffic.dice.random() < 0.3 and recorder.checkpoint is not None:
                    await self.publish(recorder)
            await self.attest(recorder)
        finally:
            await store.close()

    async def publish(self, recorder: Recorder) -> None:
        checkpoint = recorder.checkpoint
        assert checkpoint is not None
        if self.ledger.rows("SELECT count(*) FROM ledger.published_checkpoint WHERE size = %s", checkpoint.size) == [
            (0,)
        ]:
            note = recorder.pens.sign(checkpoint)
            await recorder.store.publish(checkpoint.size, note, min(recorder.open_from, checkpoint.size), recorder.term)

    async def deed(self) -> None:
        tenant, dsn = self.traffic.dice.choice(TENANTS), self.ledger.dsn
        hold = await asyncio.to_thread(custody.place_hold, dsn("ledger_holder"), tenant, "a court: « » \u202e", "Ada é")
        if self.traffic.dice.random() < 0.7:
            await asyncio.to_thread(custody.lift_hold, dsn("ledger_holder"), hold, "over")
            with contextlib.suppress(custody.UnderHold):  # an earlier one stands
                await asyncio.to_thread(custody.erase, dsn("ledger_eraser"), tenant, "asked")

    def rotate(self) -> None:
        """Go over to another key with the next day, once."""
        if not self.turned:
            self.turned = True
            self.office = replace(self.office, next_signer=NEXT, overlap=OVERLAP)

    async def attest(self, recorder: Recorder) -> None:
        report = self.verified()
        assert report.faults == []
        await recorder.record([], self.now, [Act(type=VERIFIED, data=report.summary())])

    def verified(self) -> Any:
        """Return what a deep verification finds, texts opened."""
        first = self.office.signer.verifier_key
        report = verify(self.ledger.dsn("ledger_auditor"), Trust(log_keys=(LogKey(key=first),)))
        open_texts(self.ledger.dsn("ledger_writer"), self.office.vault, report)
        return report


@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("seed", range(LEDGERS - len(EDGES)))
async def test_odd_traffic_gives_no_false_alarm(seed: int, ledger: Ledger, office: Office) -> None:
    dice = random.Random(f"{SEED}/{seed}")
    life = Life(ledger=ledger, office=office, traffic=Traffic(dice=dice))
    for _ in range(dice.randint(1, 3)):
        await life.day(dice.randint(1, 8))
        if dice.random() < 0.4:
            life.rotate()
        if dice.random() < 0.2:
            life.traffic.streams = Streams(created=f"2026-11-0{dice.randint(2, 9)}T00:00:00Z")  # made anew
    report = life.verified()
    assert report.faults == []
    assert report.size > 0


@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("size", EDGES)
async def test_a_ledger_of_an_edge_size_gives_no_false_alarm(size: int, ledger: Ledger, office: Office) -> None:
    """In one batch, and with a second one after it: the first of them fills the log exactly to the edge."""
    life = Life(ledger=ledger, office=office, traffic=Traffic(dice=random.Random(size)))
    store = await Store.open(ledger.dsn("ledger_writer"))
    recorder = await begin(store, office)
    messages = [life.traffic.streams.message(SUBJECT, b"{%d" % number) for number in range(size)]
    await recorder.record(messages, NOON)
    if size:
        await life.publish(recorder)
    report = life.verified()
    assert (report.faults, report.size) == ([], size)
    await recorder.record(life.traffic.streams.deliver([published(REVIEWERS)]), NOON)
    await life.attest(recorder)
    await store.close()
    report = life.verified()
    assert (report.faults, report.size) == ([], size + 2)
