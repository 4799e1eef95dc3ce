"""A sequencer's term of office: the lock, the tree that must agree with the last checkpoint, the keys that sign now, and the desk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Verifier
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.note import NoteSigner

from tierproof_evidence_ledger import opening
from tierproof_evidence_ledger.acts import ROTATED
from tierproof_evidence_ledger.desk import STEERING, TASK_EVENTS, Desk, Patience, instant, laid_out
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.pens import Pens, after, pens, rotation
from tierproof_evidence_ledger.recent import RecentEvents
from tierproof_evidence_ledger.recorder import LONG_AGO, Recorder
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.tree import Tree

_log = structlog.get_logger()
EVENTS_REMEMBERED = 8192
AT_START = frozenset({"start of term"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What a sequencer brings to its office: keys, patience, and how often it looks for overdue tasks.

    `next_signer` is the key to which the log goes over, unless it has; the old one signs for `overlap` entries more.
    """

    signer: NoteSigner
    vault: Vault
    signers: Mapping[str, Verifier]
    patience: Patience
    holder: str
    sweep_every: timedelta = timedelta(0)
    next_signer: NoteSigner | None = None
    post_quantum: Cosigner | None = None
    overlap: int = 0


async def checked_tree(store: Store, keys: Sequence[LogKey]) -> Tree:
    """Rebuild the tree and compare it with the last checkpoint; raises Corrupted, and then nothing may be written."""
    size = await opening.size(store)
    note = await opening.last_checkpoint(store)
    tree = await opening.tree_of(store, size)
    if note is None:
        if size:
            raise Corrupted(f"{size} entries and no checkpoint: run `verify`")
        return tree
    try:
        checkpoint = open_checkpoint(note.encode(), keys)
    except ProofError as error:
        raise Corrupted(f"the last checkpoint cannot be trusted: {error.diagnosis()}; run `verify`") from None
    if (checkpoint.size, checkpoint.root) != (size, tree.frontier.root()):
        raise Corrupted(
            f"{size} entries do not give the root of the last checkpoint of {checkpoint.size}: run `verify`"
        )
    return tree


async def begin(store: Store, office: Office) -> Recorder:
    """Begin a term on a store; the caller holds the office's lock on another connection. Raises Corrupted and NotConfigured."""
    term = await store.take_term(office.holder)
    signing = await _pens(store, office)
    tree = await checked_tree(store, signing.keys)
    desk = Desk(signers=office.signers, patience=office.patience)
    published = await opening.last_published(store)
    open_tasks = await opening.open_tasks(store, TASK_EVENTS, published[2] if published else 0)
    laid_out(desk, await opening.entries_of(store, STEERING), open_tasks)
    for task in desk.tasks.values():
        if task.decision is not None:
            desk.wait(task, AT_START)  # what it waited for may have been stored since
    store.stream_ids, highest = await opening.positions(store)
    recorder = Recorder(
        store=store,
        recent=RecentEvents(store, EVENTS_REMEMBERED),
        tree=tree,
        desk=desk,
        open_from=desk.open_from(tree.size),
        vault=office.vault,
        pens=signing,
        term=term,
        highest=highest,
        last_time=await _last_time(store, tree.size),
        checkpoint=Checkpoint(origin=signing.origin, size=tree.size, root=tree.frontier.root()) if tree.size else None,
        sweep_every=office.sweep_every,
        catching_up=AT_START,
    )
    await _go_over(recorder, office)
    _log.info("term.begun", term=term, size=tree.size, open_tasks=len(desk.tasks))
    return recorder


async def _pens(store: Store, office: Office) -> Pens:
    signers = (office.signer,) if office.next_signer is None else (office.signer, office.next_signer)
    rotations = [entry["event"]["data"] for _, entry in await opening.entries_of(store, [ROTATED])]
    return pens(signers, rotations, office.post_quantum)


async def _last_time(store: Store, size: int) -> datetime:
    if size == 0:
        return LONG_AGO
    return instant(opening.loaded((await store.entries_at([size - 1]))[size - 1])["recorded_at"])


async def _go_over(recorder: Recorder, office: Office) -> None:
    """Begin to sign with the next key as well, unless the log does so already: the act is the first entry of the term."""
    if office.next_signer is None:
        return
    key = office.next_signer.verifier_key
    if key in [each.key for each in recorder.pens.keys]:
        return
    act = rotation(recorder.pens, key, recorder.size, office.overlap)
    recorder.first_acts = (act,)
    recorder.pens = after(recorder.pens, act)
    _log.warning("log_key.rotated", to=key.label, size=recorder.size, until=act.data["until_old"])
