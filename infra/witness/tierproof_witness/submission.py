"""What a log sends: `old N`, a consistency proof, an empty line, a checkpoint (tlog-witness, add-checkpoint)."""

from dataclasses import dataclass

from tierproof_proofs.checkpoint import Checkpoint, parse_checkpoint
from tierproof_proofs.encoding import bytes_of_base64, number_of
from tierproof_proofs.errors import Malformed
from tierproof_proofs.merkle import HASH_SIZE
from tierproof_proofs.note import Note, parse_note

MOST_HASHES = 63
OLD = "old "


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The size from which the log claims to continue, the hashes that show it, and its checkpoint; nothing is verified yet."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


def parse_submission(body: bytes) -> Submission:
    """Read a request's body; raises Malformed."""
    head, separator, note = body.partition(b"\n\n")
    if not separator:
        raise Malformed("no empty line before the checkpoint")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("the lines before the checkpoint are not ASCII") from None
    if not first.startswith(OLD):
        raise Malformed("the first line is not `old` and a size")
    if len(hashes) > MOST_HASHES:
        raise Malformed(f"more than {MOST_HASHES} hashes")
    parsed = parse_note(note)
    return Submission(
        old=number_of(first.removeprefix(OLD), "old size"),
        proof=tuple(map(_hash, hashes)),
        note=parsed,
        checkpoint=parse_checkpoint(parsed.text),
    )


def _hash(line: str) -> bytes:
    part = bytes_of_base64(line, "consistency proof")
    if len(part) != HASH_SIZE:
        raise Malformed(f"a hash has {HASH_SIZE} bytes, not {len(part)}")
    return part
