"""Deep verification in a process of its own: it takes a core for as long as it lasts, and the sequencer needs its own."""

import subprocess
import sys

from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.findings import Report

FOUND = (0, 1)  # exit codes with a report: nothing found, something found
NICE = 10


class NotVerified(LedgerError):
    """The verification could not be done; nothing is known of the ledger's state."""


def verified_apart() -> Report:
    """Verify with this process's settings; raises NotVerified when it could not be done."""
    command = [sys.executable, "-m", "tierproof_evidence_ledger", "verify", "--json"]
    done = subprocess.run(["nice", "-n", str(NICE), *command], capture_output=True, check=False)
    if done.returncode not in FOUND or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotVerified(said[-1][:300] if said else f"the verification ended with code {done.returncode}")
    return Report.from_json(done.stdout)
