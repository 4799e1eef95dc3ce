"""A log of a few leaves with known keys, and a witness in a folder: what the witness's suites share."""

from collections.abc import Sequence
from pathlib import Path

from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.keys import Ed25519Signer, MLDSA44Signer
from tierproof_proofs.merkle import consistency_proof, leaf_hash, root_of
from tierproof_proofs.note import NoteSigner
from tierproof_witness.logs import Logs
from tierproof_witness.store import Store
from tierproof_witness.witness import Witness

ORIGIN = "log.example/witnessed"
LOG = NoteSigner(name=ORIGIN, signer=Ed25519Signer.from_seed(b"l" * 32))
LOG_PQ = Cosigner(name=ORIGIN, signer=MLDSA44Signer.from_seed(b"l" * 32))
MALLORY = NoteSigner(name=ORIGIN, signer=Ed25519Signer.from_seed(b"m" * 32))
COSIGNERS = (
    Cosigner(name="w.example/1", signer=Ed25519Signer.from_seed(b"w" * 32)),
    Cosigner(name="w.example/1", signer=MLDSA44Signer.from_seed(b"w" * 32)),
)
TIME = 1_700_000_000


class Tree:
    """A log's leaves; two with another `branch` agree on the first `common` leaves and differ from there."""

    def __init__(self, count: int, branch: str = "a", common: int = 0) -> None:
        self.leaves = [leaf_hash(f"{'a' if number < common else branch}{number}".encode()) for number in range(count)]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(origin=ORIGIN, size=size, root=root_of(self.leaves[:size]))

    def note(self, size: int, signer: NoteSigner = LOG) -> str:
        return sign_checkpoint(self.checkpoint(size), signer)

    def proof(self, old: int, new: int) -> list[bytes]:
        if not 0 < old <= new:
            return []
        leaves = self.leaves[:new]
        return consistency_proof(old, new, lambda level, index: root_of(leaves[index << level : (index + 1) << level]))

    def submission(self, old: int, new: int, signer: NoteSigner = LOG) -> bytes:
        return body(old, self.proof(old, new), self.note(new, signer))


def body(old: object, proof: Sequence[bytes], note: str) -> bytes:
    lines = "".join(f"{base64_of(part)}\n" for part in proof)
    return f"old {old}\n{lines}\n{note}".encode()


def logs_file(folder: Path, *more: object) -> Path:
    path = folder / "logs"
    path.write_text("".join(f"{key}\n" for key in (LOG.verifier_key, *more)))
    return path


def open_witness(folder: Path, clock: Sequence[int] = (TIME,)) -> Witness:
    """Return a witness on a folder's store; its clock says the given times and then the last one."""
    times = list(clock)
    return Witness(
        cosigners=COSIGNERS,
        store=Store(folder / "store", busy_seconds=5),
        logs=Logs(logs_file(folder, LOG_PQ.verifier_key)),
        clock=lambda: times.pop(0) if len(times) > 1 else times[0],
    )
