"""The keys of the stack's log through rotations: their files, what the trust file says of each, and how it learns.

The first key is believed at the first start. A later one is believed when the log itself, under a key believed before, says since
which size it signs: until then the trust file does not name it, and both keys sign.
"""

import re
import time
from pathlib import Path

import psycopg
from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.key_history import followed
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import load_key, load_or_create_key
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import ED25519, NoteSigner, VerifierKey
from tierproof_proofs.trust import Trust

from tierproof_embedded.errors import StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.ports import write_whole

FIRST = "ledger-log.pem"
LOG_KEYS = "log-keys"
STEP = "learning which keys sign the log"
LOOK = 0.1
_NAME = re.compile(r"ledger-log(?:-(\d+))?\.pem")


class RotationUnderWay(StepFailed):
    """The log has not gone over to its newest key yet; one rotation at a time."""


def files(layout: Layout) -> list[Path]:
    """Return the log's key files, in the order of their rotation."""
    found = [(int(match[1] or 1), path) for path in layout.keys.glob("*.pem") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def signing(layout: Layout) -> tuple[Path, Path | None]:
    """Return the file of the key that signs, and of the one that follows it or has followed it, None without rotation."""
    found = files(layout) or [layout.keys / FIRST]
    return (found[-2], found[-1]) if len(found) > 1 else (found[0], None)


def ensure_first(layout: Layout) -> None:
    """Make the first key unless there is one; raises UnusableKey."""
    if not files(layout):
        load_or_create_key(layout.keys / FIRST)


def verifier_keys(layout: Layout, log_name: str) -> list[VerifierKey]:
    """Return the public keys of the files, in their order; raises UnusableKey."""
    return [NoteSigner(name=log_name, signer=load_key(path)).verifier_key for path in files(layout)]


def believed(layout: Layout, log_name: str) -> tuple[LogKey, ...]:
    """Return the log's Ed25519 keys for the trust file: those that it names already, at the first start the first one.

    Raises Malformed when there is a trust file and it is damaged.
    """
    if layout.trust.exists():
        known = Trust.from_json(layout.trust.read_bytes()).log_keys
        kept = tuple(each for each in known if each.key.name == log_name and each.key.algorithm == ED25519)
        if kept:
            return kept
    return (LogKey(key=verifier_keys(layout, log_name)[0]),)


def to_learn(layout: Layout, log_name: str) -> list[VerifierKey]:
    """Return the keys that are here and that the trust file does not name yet."""
    known = [each.key for each in believed(layout, log_name)]
    return [key for key in verifier_keys(layout, log_name) if key not in known]


def make_next(layout: Layout, log_name: str) -> Path:
    """Make the key to which the log goes over at the next start; raises RotationUnderWay, UnusableKey and StepFailed."""
    here = files(layout)
    if not here:
        raise StepFailed(step="rotating the log's key", said="there is no key yet; start the stack once")
    if to_learn(layout, log_name):
        raise RotationUnderWay(
            step="rotating the log's key",
            said=f"the log has not gone over to {here[-1].name} yet; start the stack, all of it, and try again",
        )
    number = int((_NAME.fullmatch(here[-1].name) or [0, 1])[1] or 1) + 1
    path = layout.keys / f"ledger-log-{number}.pem"
    load_or_create_key(path)
    return path


def learn(layout: Layout, log_name: str, auditor_dsn: str, seconds: float) -> None:
    """Wait until the log tells since when its newest key signs, and write that into the trust file; raises StepFailed."""
    until = time.monotonic() + seconds
    try:
        while not _learnt(layout, log_name, auditor_dsn):
            if time.monotonic() > until:
                newest = files(layout)[-1].name
                raise StepFailed(
                    step=STEP,
                    said=f"the log does not say that it went over to {newest}; if it began anew, remove {layout.trust} and start",
                )
            time.sleep(LOOK)
    except (LedgerError, ProofError) as error:
        raise StepFailed(step=STEP, said=error.diagnosis()) from error
    except psycopg.Error as error:
        raise StepFailed(step=STEP, said=str(error)) from error


def _learnt(layout: Layout, log_name: str, auditor_dsn: str) -> bool:
    trust = Trust.from_json(layout.trust.read_bytes())
    now = followed(auditor_dsn, trust.log_keys)
    if now != trust.log_keys:
        changed = Trust(
            log_keys=now,
            witnesses=trust.witnesses,
            quorum=trust.quorum,
            reviewers=trust.reviewers,
            documents=trust.documents,
            time_stamping=trust.time_stamping,
        )
        write_whole(layout.trust, changed.to_json())
    return not to_learn(layout, log_name)
