"""Cosignatures of witnesses (c2sp.org/tlog-cosignature): Ed25519 and ML-DSA-44, made and verified over a checkpoint."""

import struct
from dataclasses import dataclass

from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.errors import Malformed
from tierproof_proofs.keys import Signer
from tierproof_proofs.note import ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, SignatureLine, VerifierKey

TIMESTAMP_SIZE = 8
LATEST = 2**63 - 1
LONGEST_NAME = 255
SIGNATURE_SIZES = {ED25519_COSIGNATURE: 64, MLDSA44_COSIGNATURE: 2420}
TYPES = {"ed25519": ED25519_COSIGNATURE, "ml-dsa-44": MLDSA44_COSIGNATURE}


def split_timestamp(signature: bytes, algorithm: int) -> tuple[int, bytes]:
    """Return the POSIX time and the raw signature of a timestamped one; raises Malformed."""
    if len(signature) != TIMESTAMP_SIZE + SIGNATURE_SIZES.get(algorithm, -1):
        raise Malformed("cosignature: not a time and a signature")
    (time,) = struct.unpack(">Q", signature[:TIMESTAMP_SIZE])
    if time > LATEST:
        raise Malformed("cosignature: time beyond 2^63")
    return time, signature[TIMESTAMP_SIZE:]


def ed25519_message(time: int, body: str) -> bytes:
    """Return what an Ed25519 cosigner signs: its header, the time, and the checkpoint's whole body."""
    return f"cosignature/v1\ntime {time}\n{body}".encode()


def mldsa44_message(cosigner: str, time: int, checkpoint: Checkpoint) -> bytes:
    """Return what an ML-DSA-44 cosigner signs: names, time, size and root; raises Malformed for names over 255 bytes."""
    cosigner_name, origin = cosigner.encode(), checkpoint.origin.encode()
    if not 0 < len(cosigner_name) <= LONGEST_NAME or not 0 < len(origin) <= LONGEST_NAME:
        raise Malformed("cosignature: names have 1 to 255 bytes")
    return b"".join(
        (
            b"subtree/v1\n\x00",
            bytes([len(cosigner_name)]),
            cosigner_name,
            struct.pack(">Q", time),
            bytes([len(origin)]),
            origin,
            struct.pack(">QQ", 0, checkpoint.size),
            checkpoint.root,
        )
    )


def cosignature_time(key: VerifierKey, signature: bytes, body: str, checkpoint: Checkpoint) -> int | None:
    """Return the POSIX time of a right cosignature, None for a wrong one; raises Malformed."""
    time, raw = split_timestamp(signature, key.algorithm)
    return time if key.verify(signed_message(key, time, body, checkpoint), raw) else None


def signed_message(key: VerifierKey, time: int, body: str, checkpoint: Checkpoint) -> bytes:
    """Return what a cosigner's key signs at a time, by its algorithm."""
    if key.algorithm == MLDSA44_COSIGNATURE:
        return mldsa44_message(key.name, time, checkpoint)
    return ed25519_message(time, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """A name and the signer, of any algorithm in `TYPES`, that cosigns checkpoints under it.

    A log that signs its own checkpoints with ML-DSA-44 is a cosigner named as its origin.
    """

    name: str
    signer: Signer

    @property
    def verifier_key(self) -> VerifierKey:
        """The public half, whose text form is the vkey; raises Malformed for another algorithm."""
        algorithm = TYPES.get(self.signer.algorithm)
        if algorithm is None:
            raise Malformed(f"cosigner {self.name}: no cosignatures are made with {self.signer.algorithm}")
        return VerifierKey(name=self.name, algorithm=algorithm, public_key=self.signer.public_key)

    def cosign(self, checkpoint: Checkpoint, time: int) -> SignatureLine:
        """Return the line that states: at this POSIX time, this is the largest consistent tree that the cosigner knows.

        Raises Malformed for times outside 1 to 2^63-1 (tlog-witness: the time of a checkpoint's cosignature is never zero)
        and for names over 255 bytes.
        """
        if not 0 < time <= LATEST:
            raise Malformed("cosignature: the time is a positive number below 2^63")
        key = self.verifier_key
        message = signed_message(key, time, str(checkpoint), checkpoint)
        stamped = struct.pack(">Q", time) + self.signer.sign(message)
        return SignatureLine(name=self.name, key_id=key.key_id, signature=stamped)
