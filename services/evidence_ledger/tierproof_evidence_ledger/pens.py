"""The pens of the log: which keys sign a checkpoint of a size, through rotations (c2sp.org/signed-note: several may sign)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import leaf_hash
from tierproof_proofs.note import NoteSigner, VerifierKey, parse_vkey, sign_note

from tierproof_evidence_ledger.acts import ROTATED, Act
from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.errors import NotConfigured
from tierproof_evidence_ledger.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Pens:
    """Private keys at hand, the sizes for which each key of the log signs, and the one that signs what is published as well.

    `keys` are the log's Ed25519 keys in the order of their rotation; the last one has no end.
    """

    signers: tuple[NoteSigner, ...]
    keys: tuple[LogKey, ...]
    post_quantum: Cosigner | None = None

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self.keys[0].key.name

    def at(self, size: int) -> list[NoteSigner]:
        """Return the signers of a checkpoint of a size; raises NotConfigured when the current key is not at hand."""
        valid = [key.key for key in self.keys if key.signs(size)]
        found = [signer for signer in self.signers if signer.verifier_key in valid]
        if valid[-1] not in [signer.verifier_key for signer in found]:
            raise NotConfigured(f"the log has gone over to key {valid[-1].label}: name its file as the log's key")
        return found

    def sign(self, checkpoint: Checkpoint) -> str:
        """Return a checkpoint as a note, signed by the keys that are valid at its size."""
        return sign_note(str(checkpoint), self.at(checkpoint.size))


def covered(batch: Batch, tree: Tree, now: Pens) -> tuple[Tree, Checkpoint]:
    """Give a batch its tiles and its signed checkpoint over a tree; return the tree after it, and the checkpoint."""
    leaves = [leaf_hash(content) for content in batch.entries]
    grown, batch.tiles = tree.grown(leaves)
    checkpoint = Checkpoint(origin=now.origin, size=grown.size, root=grown.frontier.root())
    batch.checkpoint = (grown.size, now.sign(checkpoint), b"".join(leaves))
    return grown, checkpoint


def pens(
    signers: Sequence[NoteSigner], rotations: Iterable[Mapping[str, Any]], post_quantum: Cosigner | None = None
) -> Pens:
    """Return the pens after the log's rotations, given as the data of `ledger.rotated.v1` acts in their order."""
    keys: list[LogKey] = []
    for said in rotations:
        keys = rotated(keys or [LogKey(key=parse_vkey(said["old"]))], said)
    return Pens(
        signers=tuple(signers), keys=tuple(keys or [LogKey(key=signers[0].verifier_key)]), post_quantum=post_quantum
    )


def rotation(now: Pens, to: VerifierKey, size: int, overlap: int) -> Act:
    """Return the act by which a log of `size` entries goes over to a new key; the old one signs for `overlap` entries more."""
    since = size + 1  # the first checkpoint that covers the act
    said = {"old": str(now.keys[-1].key), "key": str(to), "from": since, "until_old": since + overlap}
    return Act(type=ROTATED, data=said)


def after(now: Pens, act: Act) -> Pens:
    """Return the pens after a rotation."""
    return replace(now, keys=tuple(rotated(now.keys, act.data)))


def rotated(keys: Sequence[LogKey], said: Mapping[str, Any]) -> list[LogKey]:
    """Return a log's keys after a rotation; one that is known already changes nothing."""
    old, new = parse_vkey(said["old"]), parse_vkey(said["key"])
    if new in [each.key for each in keys]:
        return list(keys)
    ended = [replace(each, until=said["until_old"]) if each.key == old else each for each in keys]
    return [*ended, LogKey(key=new, since=said["from"])]
