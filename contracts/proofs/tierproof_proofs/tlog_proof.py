"""`.tlog-proof` files: one entry's place in a log, verifiable offline (c2sp.org/tlog-proof@v1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.cosignature import cosignature_time
from tierproof_proofs.encoding import base64_of, bytes_of_base64, number_of
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from tierproof_proofs.note import VerifierKey, key_for, parse_note

HEADER = "c2sp.org/tlog-proof@v1"
MOST_HASHES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """The parts of a proof file. `checkpoint` is the signed note as text; `extra` is authenticated by nobody."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __str__(self) -> str:
        extra = "" if self.extra is None else f"extra {base64_of(self.extra)}\n"
        hashes = "".join(f"{base64_of(part)}\n" for part in self.hashes)
        return f"{HEADER}\n{extra}index {self.index}\n{hashes}\n{self.checkpoint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy:
    """Whom to believe: the log's keys, its witnesses' cosignature keys, and how many witnesses must have signed.

    Witnesses are counted by name, however many keys one has.
    """

    log_keys: tuple[LogKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenEntry:
    """What a proof has shown: the entry's index in the checkpointed tree, and each witness's POSIX time by name."""

    index: int
    checkpoint: Checkpoint
    witnessed: dict[str, int]


def parse_proof(text: str) -> TlogProof:
    """Read a proof file's frame, the checkpoint unread; raises Malformed."""
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if lines.pop(0) != HEADER:
        raise Malformed(f"proof: the first line is not {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = bytes_of_base64(lines.pop(0).removeprefix("extra "), "extra data")
    if not lines or not lines[0].startswith("index "):
        raise Malformed("proof: the index line is missing")
    index = number_of(lines.pop(0).removeprefix("index "), "index")
    if not separator:
        raise Malformed("proof: no empty line before the checkpoint")
    if len(lines) > MOST_HASHES:
        raise Malformed(f"proof: more than {MOST_HASHES} hashes")
    return TlogProof(index=index, hashes=tuple(map(_hash, lines)), checkpoint=checkpoint, extra=extra)


def verify_proof(text: str, entry: bytes, policy: LogPolicy) -> ProvenEntry:
    """Verify that a log holds `entry`, the raw leaf: frame, log signature, witnesses' quorum, inclusion.

    Raises Malformed or NotVerified.
    """
    proof = parse_proof(text)
    content = proof.checkpoint.encode()
    checkpoint = open_checkpoint(content, policy.log_keys)
    witnessed = witness_times(content, checkpoint, policy.witnesses)
    if len(witnessed) < policy.quorum:
        raise NotVerified(f"{len(witnessed)} witnesses have cosigned, {policy.quorum} are needed")
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(entry), proof.hashes, checkpoint.root)
    return ProvenEntry(index=proof.index, checkpoint=checkpoint, witnessed=witnessed)


def witness_times(content: bytes, checkpoint: Checkpoint, witnesses: Sequence[VerifierKey]) -> dict[str, int]:
    """Return the newest POSIX time of each witness that has cosigned a note, by name.

    Raises NotVerified for a wrong cosignature of a known witness, and Malformed.
    """
    note = parse_note(content)
    times: dict[str, int] = {}
    for line in note.signatures:
        key = key_for(line, witnesses)
        if key is None:
            continue
        time = cosignature_time(key, line.signature, note.text, checkpoint)
        if time is None:
            raise NotVerified(f"the cosignature of {key.label} is wrong")
        times[key.name] = max(time, times.get(key.name, 0))
    return times


def _hash(line: str) -> bytes:
    part = bytes_of_base64(line, "hash")
    if len(part) != HASH_SIZE:
        raise Malformed(f"proof: a hash has {HASH_SIZE} bytes, not {len(part)}")
    return part
