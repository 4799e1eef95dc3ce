"""Cosignatures of witnesses (c2sp.org/tlog-cosignature): Ed25519 and ML-DSA-44, verified against a checkpoint."""

import struct

from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.errors import Malformed
from tierproof_proofs.note import ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, VerifierKey

TIMESTAMP_SIZE = 8
LATEST = 2**63 - 1
LONGEST_NAME = 255
SIGNATURE_SIZES = {ED25519_COSIGNATURE: 64, MLDSA44_COSIGNATURE: 2420}


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
    post_quantum = key.algorithm == MLDSA44_COSIGNATURE
    message = mldsa44_message(key.name, time, checkpoint) if post_quantum else ed25519_message(time, body)
    return time if key.verify(message, raw) else None
