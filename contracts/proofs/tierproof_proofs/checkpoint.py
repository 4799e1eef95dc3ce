"""Checkpoints: a log's signed statement of its size and root (c2sp.org/tlog-checkpoint)."""

from dataclasses import dataclass

from tierproof_proofs.encoding import base64_of, bytes_of_base64, number_of
from tierproof_proofs.errors import Malformed
from tierproof_proofs.merkle import HASH_SIZE
from tierproof_proofs.note import NoteSigner, sign_note

BODY_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's origin, its number of leaves, its root hash, and extension lines that we do not read."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), base64_of(self.root), *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's body, the text of its note; raises Malformed."""
    if not text.endswith("\n"):
        raise Malformed("checkpoint: the last line has no newline")
    if any(character < " " and character != "\n" for character in text):
        raise Malformed("checkpoint: holds control characters")
    lines = text[:-1].split("\n")
    if len(lines) < BODY_LINES or not all(lines):
        raise Malformed("checkpoint: origin, size and root are needed, and no empty lines")
    origin, size, root, *extensions = lines
    root_hash = bytes_of_base64(root, "root hash")
    if len(root_hash) != HASH_SIZE:
        raise Malformed(f"checkpoint: the root hash has {len(root_hash)} bytes")
    return Checkpoint(origin=origin, size=number_of(size, "size"), root=root_hash, extensions=tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> str:
    """Return the checkpoint as a note signed by its log."""
    return sign_note(str(checkpoint), [signer])
