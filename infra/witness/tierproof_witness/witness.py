"""The witness itself: judges a submission, remembers it, and only then lets its cosignatures out."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.errors import Malformed
from tierproof_proofs.note import key_for

from tierproof_witness.decide import Conflict, Cosign, Reason, Recorded, Refused, decide, refused_at_the_door
from tierproof_witness.logs import Logs
from tierproof_witness.store import Store
from tierproof_witness.submission import Submission, parse_submission

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """Signature lines, each ending in a newline."""

    lines: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Who cosigns (each key one line), what it remembers, whom it knows, and its clock in POSIX seconds."""

    cosigners: tuple[Cosigner, ...]
    store: Store
    logs: Logs
    clock: Callable[[], int]

    def submit(self, body: bytes) -> Cosigned | Conflict | Refused:
        """Answer a request's body; blocks on the disk. Raises StoreUnusable, and then nothing was cosigned."""
        try:
            submission = parse_submission(body)
        except Malformed as error:
            return _noted(Refused(reason=Reason.MALFORMED, because=error.diagnosis()), None)
        refused = refused_at_the_door(submission, self.logs.keys_of(submission.checkpoint.origin))
        return _noted(refused, submission) if refused else self._judged(submission)

    def _judged(self, submission: Submission) -> Cosigned | Conflict | Refused:
        checkpoint = submission.checkpoint
        with self.store.turn(checkpoint.origin) as turn:
            verdict = decide(submission, turn.recorded)
            if not isinstance(verdict, Cosign):
                return _noted(verdict, submission)
            # A clock set back must not make a larger tree look older than a smaller one.
            time = max(self.clock(), turn.recorded.time if turn.recorded else 0)
            lines = "".join(str(cosigner.cosign(checkpoint, time)) for cosigner in self.cosigners)
            newest = Recorded(size=checkpoint.size, root=checkpoint.root, time=time)
            turn.record(newest, self._shown(submission) + lines)
        _log.info("witness.cosigned", origin=checkpoint.origin, old=submission.old, size=checkpoint.size)
        return Cosigned(lines=lines)

    def _shown(self, submission: Submission) -> str:
        """Return the checkpoint with those of its signatures that were verified."""
        keys = self.logs.keys_of(submission.checkpoint.origin)
        verified = [str(line) for line in submission.note.signatures if key_for(line, keys)]
        return f"{submission.note.text}\n{''.join(verified)}"


def _noted(verdict: Conflict | Refused, submission: Submission | None) -> Conflict | Refused:
    """Write down what was refused: a signed checkpoint that contradicts another one convicts its log."""
    match verdict:
        case Conflict(size=size) if submission is not None:
            _log.info("witness.conflict", origin=submission.checkpoint.origin, old=submission.old, recorded=size)
        case Refused(reason=Reason.INCONSISTENT) if submission is not None:
            new = submission.checkpoint
            _log.error(
                "witness.contradicted", origin=new.origin, old=submission.old, size=new.size, root=new.root.hex()
            )
        case Refused(reason=reason):
            _log.warning("witness.refused", status=int(reason), reason=reason.name.lower())
    return verdict
