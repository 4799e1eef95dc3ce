"""A ledger worth attacking: several tiles, tens of checkpoints, every kind of entry, a rotation, a hold, an erasure, witnesses."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
from tierproof_evidence_ledger.acts import VERIFIED, Act
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import REVIEWERS, Story, abstained_task, answered_task, published
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.keys import Ed25519Signer, MLDSA44Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner, SignatureLine, parse_note, sign_note
from tierproof_proofs.trust import Trust
from tierproof_tsa.authority import Authority
from tierproof_tsa.server import open_authority
from tierproof_tsa.settings import TsaSettings

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
LOG = "ledger.example/tests"
NEXT = NoteSigner(name=LOG, signer=Ed25519Signer.from_seed(b"the next log key, for tests only"))
STRANGER = NoteSigner(name=LOG, signer=Ed25519Signer.from_seed(b"nobody's log key, for tests only"))
WITNESSES = (
    Cosigner(name="witness.example/one", signer=Ed25519Signer.from_seed(b"first witness seed, tests only32")),
    Cosigner(name="witness.example/two", signer=MLDSA44Signer.from_seed(b"second witness seed, tests only2")),
)
OVERLAP = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """A filled ledger as an attacker and a reader know it: `older` is a copy of its database from an earlier day.

    `known` are roots that witnesses have cosigned, by size. `until` is the size from which the log's first key signs no more,
    `attested` the newest published size when the ledger verified itself.
    """

    dsn: str
    older: str
    trust: Trust
    known: dict[int, bytes]
    sizes: tuple[int, ...]
    published: tuple[int, ...]
    until: int
    first_key: NoteSigner
    vault: Vault
    attested: int

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.sizes[-1]


def trust_in(first_key: NoteSigner, stamper: Authority) -> Trust:
    """Return what a reader has believed since the first day: the rotation is for the log to tell."""
    witnesses = tuple(witness.verifier_key for witness in WITNESSES)
    stamping = stamper.identity.certificate.public_bytes(Encoding.PEM).decode()
    keys = (LogKey(key=first_key.verifier_key),)
    return Trust(log_keys=keys, witnesses=witnesses, quorum=2, time_stamping=(stamping,))


def cosigned(note: str, checkpoint: Checkpoint, time: int) -> str:
    """Return a checkpoint's note with the cosignatures of all witnesses."""
    lines: list[SignatureLine] = [witness.cosign(checkpoint, time) for witness in WITNESSES]
    return sign_note(str(checkpoint), [], existing=(*parse_note(note.encode()).signatures, *lines))


async def publish(recorder: Recorder) -> tuple[int, bytes]:
    """Have the newest checkpoint cosigned and published, as the publisher would; returns what the witnesses have seen."""
    checkpoint = recorder.checkpoint
    assert checkpoint is not None
    note = cosigned(recorder.pens.sign(checkpoint), checkpoint, int(NOON.timestamp()))
    open_from = min(recorder.desk.open_from(checkpoint.size), checkpoint.size)
    await recorder.store.publish(checkpoint.size, note, open_from, recorder.term)
    return checkpoint.size, checkpoint.root


def stamper_in(folder: Path) -> Authority:
    """Return a time-stamp authority whose files are in a folder."""
    files = {"key_file": folder / "key", "certificate_file": folder / "tsa.pem", "state_file": folder / "state"}
    return open_authority(TsaSettings.model_validate(files))


@dataclass(slots=True)
class Filler:
    """Feeds a ledger day by day. `known` is what witnesses saw, `attested` what the ledger last verified itself up to."""

    dsn: str
    office: Office
    streams: Streams
    known: dict[int, bytes]
    stamper: Authority
    now: datetime = NOON
    attested: int = 0

    async def stamp(self, recorder: Recorder) -> None:
        """Have the newest checkpoint stamped, which is published, and note that all is sent."""
        assert recorder.checkpoint is not None
        query = TimestampRequestBuilder().data(str(recorder.checkpoint).encode()).hash_algorithm(HashAlgorithm.SHA256)
        await recorder.store.stamp(recorder.checkpoint.size, self.stamper.answer(query.build().as_bytes()))
        due = await recorder.store.unpublished()
        [(count,)] = await recorder.store.all("SELECT count(*) FROM ledger.outbox_published")
        await recorder.store.published([(kind, ref, count + place) for place, (kind, ref) in enumerate(due, 1)])

    async def verify(self, recorder: Recorder) -> None:
        """Have the ledger verify itself, and record what it found."""
        report = verify(self.dsn, trust_in(self.office.signer, self.stamper), self.known)
        assert report.faults == []
        await recorder.record([], self.now, [Act(type=VERIFIED, data=report.summary())])
        self.attested = report.attested["newest_published"]

    async def day(self, office: Office, stories: Sequence[Sequence[Story]]) -> int:
        """Hold office for a day: a batch per group of stories, every fourth checkpoint published; returns the ledger's size."""
        store = await Store.open(self.dsn)
        recorder = await begin(store, office)
        try:
            for number, together in enumerate(stories):
                self.now += timedelta(minutes=1)
                messages = [each for story in together for each in self.streams.deliver(story.events)]
                acts = (
                    [Act(type="ledger.queried.v1", data={"actor": "ada", "asked": number})] if number % 5 == 0 else []
                )
                await recorder.record(messages, self.now, acts)
                if number % 4 == 3 or number == len(stories) - 1:
                    size, root = await publish(recorder)
                    self.known[size] = root
                    if number % 3 == 0 or number == len(stories) - 1:
                        await self.stamp(recorder)
            await self.verify(recorder)
            return recorder.size
        finally:
            await store.close()

    def does(self, role: str, query: str, *values: Any) -> None:
        """Do something in the database in somebody's name."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"SET SESSION AUTHORIZATION {role}".encode())
            connection.execute(query.encode(), values)


def groups(first: int, count: int) -> list[list[Story]]:
    """Return tasks of two tenants in batches of two to five, every ninth of class C, every thirteenth declined."""
    dice = random.Random(first)
    stories = [
        abstained_task(number, tenant="globex")
        if number % 13 == 0
        else answered_task(
            number, safety_class="C" if number % 9 == 0 else "A", tenant="globex" if number % 3 else "acme"
        )
        for number in range(first, first + count)
    ]
    found = []
    while stories:
        found.append([stories.pop(0) for _ in range(min(len(stories), dice.randint(2, 5)))])
    return found


async def fill(dsn: str, office: Office, copied: Any, stamper: Authority) -> Attacked:
    """Fill a ledger over three days; `copied()` is called after the first and returns the DSN of a copy."""
    filler = Filler(dsn=dsn, office=office, streams=Streams(), known={}, stamper=stamper)
    first = Story(events=(published(REVIEWERS),))
    doomed = [answered_task(900 + number, tenant="initech") for number in range(2)]
    slow = answered_task(700)
    await filler.day(office, [[first], doomed, [slow.without("task.decided.v1")], *groups(0, 25)])
    older = copied()
    filler.does("ledger_eraser", "SELECT ledger.erase_texts_of('initech', 'the contract has ended')")
    filler.does("ledger_holder", "SELECT ledger.place_hold('globex', 'litigation')")
    filler.does("ledger_holder", "SELECT ledger.place_hold('acme', 'a question of the authority')")
    with psycopg.connect(dsn, autocommit=True) as connection:
        [(held,)] = connection.execute("SELECT hold_id FROM ledger.hold WHERE tenant = 'acme'").fetchall()
    filler.does("ledger_holder", "SELECT ledger.lift_hold(%s, 'answered')", held)
    rotating = replace(office, next_signer=NEXT, overlap=OVERLAP)
    odd = abstained_task(800)
    conflicting = Story(events=(*odd.events, odd.deciding(because="else")["task.decided.v1"]))
    again = Story(events=answered_task(901, tenant="initech").events[:2])
    twice = Story(events=answered_task(5, tenant="globex").events)
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute("SELECT count(*) FROM ledger.entry").fetchone() or (0,)
    await filler.day(rotating, [[conflicting], [again], [twice], *groups(30, 40), [Story(events=slow.events[-1:])]])
    await _rejected(filler, replace(office, signer=NEXT))
    await filler.day(replace(office, signer=NEXT), groups(80, 30))
    return _facts(filler, older, before[0] + 1 + OVERLAP)


async def _rejected(filler: Filler, office: Office) -> None:
    store = await Store.open(filler.dsn)
    recorder = await begin(store, office)
    message = filler.streams.message(f"tierproof.task.submitted.v1.acme.acme_{99:032x}", b"{")
    await recorder.record([message], filler.now)
    await store.close()


def _facts(filler: Filler, older: str, until: int) -> Attacked:
    with psycopg.connect(filler.dsn, autocommit=True) as connection:
        sizes = [row[0] for row in connection.execute("SELECT size FROM ledger.checkpoint ORDER BY size")]
    return Attacked(
        dsn=filler.dsn,
        older=older,
        trust=trust_in(filler.office.signer, filler.stamper),
        known=filler.known,
        sizes=tuple(sizes),
        published=tuple(sorted(filler.known)),
        until=until,
        first_key=filler.office.signer,
        vault=filler.office.vault,
        attested=filler.attested,
    )
