"""A sequencer's term of office: the lock, the tree that must agree with the last checkpoint, and the desk."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from tierproof_proofs.checkpoint import open_checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Verifier
from tierproof_proofs.note import NoteSigner

from tierproof_evidence_ledger.desk import STEERING, TASK_EVENTS, Desk, Patience, laid_out
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.recorder import LONG_AGO, Recorder
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.tree import Tree

_log = structlog.get_logger()
AT_START = frozenset({"start of term"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What a sequencer brings to its office: keys, patience, and how often it publishes a checkpoint and looks for overdue tasks."""

    signer: NoteSigner
    vault: Vault
    signers: Mapping[str, Verifier]
    patience: Patience
    announce_every: timedelta
    holder: str
    sweep_every: timedelta = timedelta(0)


async def checked_tree(store: Store, signer: NoteSigner) -> Tree:
    """Rebuild the tree and compare it with the last checkpoint; raises Corrupted, and then nothing may be written."""
    size = await store.size()
    note = await store.last_checkpoint()
    tree = await store.tree(size)
    if note is None:
        if size:
            raise Corrupted(f"{size} entries and no checkpoint: run `verify`")
        return tree
    try:
        checkpoint = open_checkpoint(note.encode(), signer.verifier_key)
    except ProofError as error:
        raise Corrupted(f"the last checkpoint cannot be trusted: {error.diagnosis()}; run `verify`") from None
    if (checkpoint.size, checkpoint.root) != (size, tree.frontier.root()):
        raise Corrupted(
            f"{size} entries do not give the root of the last checkpoint of {checkpoint.size}: run `verify`"
        )
    return tree


async def begin(store: Store, office: Office) -> Recorder:
    """Begin a term on a store; the caller holds the office's lock on another connection. Raises Corrupted."""
    term = await store.take_term(office.holder)
    tree = await checked_tree(store, office.signer)
    desk = Desk(signers=office.signers, patience=office.patience)
    laid_out(desk, await store.steering(STEERING), await store.open_tasks(TASK_EVENTS))
    for task in desk.tasks.values():
        if task.decision is not None:
            desk.wait(task, AT_START)  # what it waited for may have been stored since
    _log.info("term.begun", term=term, size=tree.size, open_tasks=len(desk.tasks))
    return Recorder(
        store=store,
        tree=tree,
        desk=desk,
        vault=office.vault,
        signer=office.signer,
        term=term,
        highest=await store.highest_positions(),
        announce_every=office.announce_every,
        sweep_every=office.sweep_every,
        catching_up=AT_START,
        announced=(await store.announced_size(), LONG_AGO),
    )
