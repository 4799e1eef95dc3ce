"""After a disaster: a database from a backup becomes the ledger that it was, byte for byte, and nobody is told anything twice.

The order: verify what the backup holds; compare it with the mirror; ask everybody who may know more; only then write. What the mirror
has and the database lacks is put back as it was. What the streams have and neither holds is recorded now. One act says so.
"""

import asyncio
import contextlib
import getpass
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from tierproof_bus.bus import utc_now
from tierproof_bus.link import Link, connect
from tierproof_contracts.topology import consumers_of
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

from tierproof_evidence_ledger import elsewhere, opening
from tierproof_evidence_ledger.acts import ROTATED
from tierproof_evidence_ledger.appender import Appender
from tierproof_evidence_ledger.deeds import redo
from tierproof_evidence_ledger.elsewhere import DataLoss, Rewritten
from tierproof_evidence_ledger.errors import Corrupted, NotInOffice
from tierproof_evidence_ledger.mirror import Mirror
from tierproof_evidence_ledger.pens import Pens, pens, rotated
from tierproof_evidence_ledger.rebuild import Foretold, batch_of, foretold, parts, said_in
from tierproof_evidence_ledger.restored import Restored, Tell
from tierproof_evidence_ledger.retexts import Texts
from tierproof_evidence_ledger.sequencer import SERVICE, office_of, opened
from tierproof_evidence_ledger.settings import LedgerSettings, trust_of
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.stream_positions import StreamPositions
from tierproof_evidence_ledger.term import Office, begin, checked_tree
from tierproof_evidence_ledger.verify import Scope, verify
from tierproof_evidence_ledger.witnessing import patience_of, witnesses_at

_log = structlog.get_logger()
COPIED = 1000  # entries at a time


@dataclass(slots=True, kw_only=True)
class _Case:
    """One restore. `size` is that of the database, which grows; `keys` are all keys of the log, rotations in the mirror included."""

    settings: LedgerSettings
    office: Office
    store: Store
    mirror: Mirror
    streams: StreamPositions
    report: Restored
    size: int
    pens: Pens
    keys: list[LogKey]
    ahead: Foretold = field(default_factory=Foretold)
    notes: dict[int, str] = field(default_factory=dict)


async def restore(settings: LedgerSettings, tell: Tell | None = None, *, rehearsal: bool = False) -> Restored:
    """Restore the started database of the settings; raises LedgerError, and then nothing, or nothing wrong, was written.

    Done again after it was interrupted, it goes on where it was. A `rehearsal` is for a scratch database and a copy of the mirror while
    the ledger is at work: its log key is a throw-away one, it asks no witness, appends nothing, and counts what it would record.
    """
    report = Restored(tell=tell, rehearsal=rehearsal)
    trust = trust_of(settings)
    before = Scope(texts=False, attested=False, migrations=settings.migrations)
    after = Scope(
        attested=not rehearsal, migrations=settings.migrations
    )  # a rehearsal has no act that tells of the restore
    with report.step("backup verified"):
        found = await asyncio.to_thread(verify, settings.auditor_dsn, trust, None, before)
        if found.faults:
            raise Corrupted(f"the restored database is damaged, take another backup: {found.faults[0].what}")
    async with _case(settings, report, trust) as case:
        with report.step("mirror compared"):
            await _compare(case)
        with report.step("others asked"):
            await _ask_others(case)
        with report.step("entries put back"):
            await _put_back(case, await case.store.take_term(case.office.holder))
        appender = None if rehearsal else await _appender(case)
        with report.step("streams read"):
            await _replay(case, appender)
        with report.step("outbox compared"):
            report.already_published, report.taken = await elsewhere.reconciled(case.store, case.streams)
        if appender is not None:
            await appender.append([], utc_now(), report.acts(f"{getpass.getuser()}@{socket.gethostname()}"))
            await appender.settled()
        report.size, report.root = case.mirror.size, case.mirror.root(case.mirror.size)
        if rehearsal:
            trust = replace(trust, log_keys=(*trust.log_keys, *case.pens.keys))
    with report.step("result verified"):
        found = await asyncio.to_thread(verify, settings.auditor_dsn, trust, None, after)
        if (found.size, found.root) != (report.size, report.root):
            found.add(None, f"the database has {found.size} entries, the mirror {report.size}, or not the same ones")
        report.faults = found.faults
    return report


@asynccontextmanager
async def _case(settings: LedgerSettings, report: Restored, trust: Trust) -> AsyncIterator[_Case]:
    """Open everything, and see to it that no sequencer is at work meanwhile."""
    office, link = office_of(settings), Link(SERVICE, settings)
    async with contextlib.AsyncExitStack() as stack:
        lock, store = [await stack.enter_async_context(opened(settings.writer_dsn)) for _ in range(2)]
        if not await lock.try_office():
            raise NotInOffice("a sequencer is at work on this database: stop the ledger before a restore")
        stack.push_async_callback((await connect(link, settings)).close)
        mirror = stack.enter_context(_mirror(settings))
        rotations = [entry["event"]["data"] for _, entry in await opening.entries_of(store, [ROTATED])]
        keys, size = list(trust.log_keys), await opening.size(store)
        for said in rotations:
            keys = rotated(keys, said)
        yield _Case(
            settings=settings,
            office=office,
            store=store,
            mirror=mirror,
            streams=StreamPositions(link),
            report=report,
            size=size,
            pens=_throw_away(office, size)
            if report.rehearsal
            else pens(_signers(office), rotations, office.post_quantum),
            keys=keys,
        )


@contextmanager
def _mirror(settings: LedgerSettings) -> Iterator[Mirror]:
    """Open the mirror; a ledger without one gets a short-lived one of what its database holds."""
    with contextlib.ExitStack() as stack:
        folder = settings.mirror
        if folder is None:
            _log.warning("mirror.none", consequence="what came after the backup is in the streams, or lost")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tierproof-mirror-")))
        yield stack.enter_context(Mirror.open(folder, settings.log_name))


def _throw_away(office: Office, size: int) -> Pens:
    """Return the pen of a rehearsal: it signs what the log's own key will never sign, and nobody trusts it."""
    return Pens(signers=(office.signer,), keys=(LogKey(key=office.signer.verifier_key, since=size + 1),))


def _signers(office: Office) -> tuple[NoteSigner, ...]:
    return (office.signer,) if office.next_signer is None else (office.signer, office.next_signer)


async def _compare(case: _Case) -> None:
    """Check that one of database and mirror begins the other; a mirror that lags gets what the database has."""
    store, mirror = case.store, case.mirror
    tree = await checked_tree(store, case.keys)
    while mirror.size < case.size:
        await asyncio.to_thread(mirror.append, mirror.size, await store.entries(mirror.size, COPIED))
    if mirror.root(case.size) != tree.frontier.root():
        raise Rewritten(f"the mirror's first {case.size} entries are not those of the database")
    case.report.from_size, case.report.mirror_size = case.size, mirror.size
    case.ahead = await asyncio.to_thread(lambda: foretold(case.size, mirror.entries(case.size, mirror.size)))
    for said in case.ahead.rotations:
        case.keys = rotated(case.keys, said)
    note = mirror.checkpoint()
    if note is not None:
        case.notes[elsewhere.opened(note, case.keys, "the mirror").size] = note


async def _ask_others(case: _Case) -> None:
    """Ask consumers' streams and the witnesses whether more is known than the mirror holds; raises DataLoss, Rewritten or Outgrown."""
    mirror, origin = case.mirror, case.pens.origin
    published = await opening.last_published(case.store)
    case.notes |= await elsewhere.announced(case.streams, case.keys, published[0] if published else 0)
    known = max([0, *case.notes, await elsewhere.newest_result(case.streams, origin)])
    if known > mirror.size:
        raise DataLoss(
            f"{known} entries were published, and database and mirror hold {mirror.size}: find a newer mirror"
        )
    for size, note in case.notes.items():
        if elsewhere.opened(note, case.keys, "the stream").root != mirror.root(size):
            raise Rewritten(f"another history of {size} entries was published than the mirror holds")
    if case.report.rehearsal:
        return
    if case.settings.witness_policy is None:
        _log.warning("witnesses.none", consequence="a ledger that was rolled back whole is not noticed")
        return
    checkpoint = Checkpoint(origin=origin, size=mirror.size, root=mirror.root(mirror.size))
    note = _pens_after(case).sign(checkpoint)
    async with witnesses_at(case.settings.witness_policy, mirror.consistency, patience_of(case.settings)) as witnesses:
        await witnesses.cosigned(note, mirror.size)


def _pens_after(case: _Case) -> Pens:
    """Return the pens after the rotations that the mirror tells of."""
    return _turned(case.pens, case.ahead.rotations)


def _turned(now: Pens, rotations: list[Any]) -> Pens:
    keys = list(now.keys)
    for said in rotations:
        keys = rotated(keys, said)
    return Pens(signers=now.signers, keys=tuple(keys), post_quantum=now.post_quantum)


async def _put_back(case: _Case, term: int) -> None:
    """Bring the database up to the mirror; each batch is whole, so that this may be interrupted anywhere."""
    store, mirror, ahead = case.store, case.mirror, case.ahead
    if ahead.deeds:
        await asyncio.to_thread(redo, case.settings.owner_dsn, ahead.deeds)
    texts = Texts(store=store, vault=case.office.vault, streams=case.streams, foretold=ahead)
    store.stream_ids, _ = await opening.positions(store)
    await store.make_room(mirror.size)
    tree = await opening.tree_of(store, case.size)
    await _publish_up_to(case, case.size, term)
    for first, last in parts(case.size, mirror.size, case.settings.batch_events, [*case.notes, *ahead.turns]):
        entries = list(mirror.entries(first, last))
        told = [(seq, said_in(seq, content)) for seq, content in enumerate(entries, first)]
        turned = [
            said["event"]["data"] for _, said in told if said["kind"] == "act" and said["event"]["type"] == ROTATED
        ]
        if not case.report.rehearsal:
            case.pens = _turned(case.pens, turned)
        batch, tree = batch_of(first, entries, tree, case.pens)
        await texts.put_into(batch, told)
        await store.commit(batch, term)
        case.size = last
        await _publish_up_to(case, last, term)
    case.report.mirrored = case.size - case.report.from_size
    case.report.texts_again, case.report.texts_missing = texts.again, await texts.lost()


async def _publish_up_to(case: _Case, size: int, term: int) -> None:
    """Put back published checkpoints that the database does not have, as far as their entries are there."""
    due = sorted(known for known in case.notes if known <= size)
    query = (
        "SELECT size FROM ledger.checkpoint WHERE size = ANY (%s) EXCEPT SELECT size FROM ledger.published_checkpoint"
    )
    lacking = {row[0] for row in await case.store.all(query, [due])} if due else set()
    last = await opening.last_published(case.store) if lacking else None
    for known in due:
        note = case.notes.pop(known)
        if known in lacking:
            await case.store.publish(known, note, last[2] if last else 0, term)


async def _appender(case: _Case) -> Appender:
    """Begin a term; what the outbox holds is for the next sequencer to send."""
    return Appender(await begin(case.store, case.office), case.mirror, lambda _rows: None)


async def _replay(case: _Case, appender: Appender | None) -> None:
    """Record what lies in the streams and was never recorded: gaps and newest messages, acknowledged or not."""
    before = case.mirror.size
    for consumer in consumers_of(SERVICE):
        async for messages in case.streams.missing(case.store, consumer, case.settings.batch_events):
            case.report.replayed += len(messages)
            if appender is not None:
                await appender.append(messages, utc_now())
    if appender is not None:
        await appender.settled()
    case.report.appended = case.mirror.size - before
