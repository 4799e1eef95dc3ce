"""Whether a witness cosigns what a log submits: the rules of tlog-witness, add-checkpoint, in their order. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tierproof_proofs.errors import NotVerified, ProofError
from tierproof_proofs.log_key import signed_by
from tierproof_proofs.merkle import EMPTY_ROOT, verify_consistency
from tierproof_proofs.note import VerifierKey

from tierproof_witness.submission import Submission


class Reason(IntEnum):
    """Why a submission is refused, as the HTTP status that the specification gives it."""

    MALFORMED = 400
    NOT_SIGNED = 403
    UNKNOWN_LOG = 404
    INCONSISTENT = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The newest checkpoint that the witness has cosigned of a log: leaves, root, and the POSIX time it said then."""

    size: int
    root: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Cosign:
    """The submission continues what is recorded: record it, then answer with cosignatures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The log thinks that another size is recorded than `size` (status 409)."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The submission is not cosigned, and nothing is recorded."""

    reason: Reason
    because: str


def refused_at_the_door(submission: Submission, keys: Sequence[VerifierKey]) -> Refused | None:
    """Judge what needs no memory: `keys` are those that are trusted for the checkpoint's origin."""
    if not keys:
        return Refused(reason=Reason.UNKNOWN_LOG, because="no key of this origin is known here")
    try:
        signed = signed_by(submission.note, submission.checkpoint, keys)
    except ProofError as error:  # tlog-witness: a known key's line with a wrong signature is 403, too
        return Refused(reason=Reason.NOT_SIGNED, because=error.diagnosis())
    if not signed:
        return Refused(reason=Reason.NOT_SIGNED, because="no known key of this origin has signed the checkpoint")
    if submission.old > submission.checkpoint.size:
        return Refused(reason=Reason.MALFORMED, because="the old size is larger than the checkpoint's")
    return None


def decide(submission: Submission, recorded: Recorded | None) -> Cosign | Conflict | Refused:
    """Judge an admitted submission against what is recorded of its log; None: nothing was ever cosigned."""
    known = 0 if recorded is None else recorded.size
    if submission.old != known:
        return Conflict(size=known)
    try:
        _refuse_other_history(submission, recorded)
    except ProofError as error:
        return Refused(reason=Reason.INCONSISTENT, because=error.diagnosis())
    return Cosign()


def _refuse_other_history(submission: Submission, recorded: Recorded | None) -> None:
    new = submission.checkpoint
    if new.size == 0 and new.root != EMPTY_ROOT:
        raise NotVerified("an empty tree has the hash of nothing as its root")
    if recorded is not None and recorded.size:
        verify_consistency(recorded.size, new.size, recorded.root, new.root, submission.proof)
    elif submission.proof:
        raise NotVerified("a proof from size 0 is empty")
