"""The keys of one log, each for a range of sizes, and the checkpoints that they sign (c2sp.org/tlog-checkpoint)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tierproof_proofs.checkpoint import Checkpoint, parse_checkpoint
from tierproof_proofs.cosignature import cosignature_time
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.note import ED25519, MLDSA44_COSIGNATURE, Note, VerifierKey, key_for, parse_note

LOG_ALGORITHMS = {ED25519, MLDSA44_COSIGNATURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """A log's key and the checkpoint sizes for which it signs: `since` <= size < `until`, None for no end."""

    key: VerifierKey
    since: int = 0
    until: int | None = None

    def __post_init__(self) -> None:
        if self.key.algorithm not in LOG_ALGORITHMS:
            raise Malformed(f"log key {self.key.label}: a log signs with Ed25519 (0x01) or ML-DSA-44 (0x06)")
        if self.since < 0 or (self.until is not None and self.until <= self.since):
            raise Malformed(f"log key {self.key.label}: signs for no size from {self.since} until {self.until}")

    def signs(self, size: int) -> bool:
        """Tell whether the key is valid for checkpoints of a size."""
        return self.since <= size and (self.until is None or size < self.until)


def origin_of(keys: Sequence[LogKey]) -> str:
    """Return the name that all keys of a log share, its origin; raises Malformed unless there is one, with an Ed25519 key."""
    names = {each.key.name for each in keys}
    if len(names) != 1:
        raise Malformed(f"log keys: one name is needed, the log's origin, and there are {len(names)}")
    if not any(each.key.algorithm == ED25519 for each in keys):
        raise Malformed("log keys: an Ed25519 key is needed")
    return names.pop()


def open_checkpoint(note: bytes, keys: Sequence[LogKey]) -> Checkpoint:
    """Verify a log's signatures and return what the note states; raises Malformed or NotVerified.

    Needs a right Ed25519 signature of a key that is valid at the checkpoint's size. A known key outside its sizes counts as
    unknown; a wrong signature of a valid known key, Ed25519 or ML-DSA-44, refuses the note.
    """
    origin = origin_of(keys)
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != origin:
        raise NotVerified(f"the checkpoint is of {checkpoint.origin}, the key is of {origin}")
    signed = signed_by(parsed, checkpoint, [each.key for each in keys if each.signs(checkpoint.size)])
    if all(key.algorithm != ED25519 for key in signed):
        raise NotVerified(f"no known key has signed this checkpoint of size {checkpoint.size}")
    return checkpoint


def signed_by(note: Note, checkpoint: Checkpoint, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return the keys whose lines on a note are right; raises NotVerified when one of them is wrong, Malformed for no signature."""
    known = tuple(keys)
    found = []
    for line in note.signatures:
        key = key_for(line, known)
        if key is None:
            continue
        if not _right(key, line.signature, note.text, checkpoint):
            raise NotVerified(f"the signature of {key.label} is wrong")
        found.append(key)
    return found


def _right(key: VerifierKey, signature: bytes, text: str, checkpoint: Checkpoint) -> bool:
    if key.algorithm == ED25519:
        return key.verify(text.encode(), signature)
    return cosignature_time(key, signature, text, checkpoint) is not None
