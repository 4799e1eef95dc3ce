"""Deep verification in a process of its own: it takes a core for as long as it lasts, and the sequencer needs its own."""

import asyncio
import sys

from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.findings import Report

FOUND = (0, 1)  # exit codes with a report: nothing found, something found
NICE = 10


class NotVerified(LedgerError):
    """The verification could not be done; nothing is known of the ledger's state."""


async def verified_apart() -> Report:
    """Verify with this process's settings; raises NotVerified when it could not be done. Cancelled, it leaves no process."""
    command = ("nice", "-n", str(NICE), sys.executable, "-m", "tierproof_evidence_ledger", "verify", "--json")
    pipe = asyncio.subprocess.PIPE
    verifying = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        found, said = await verifying.communicate()
    finally:
        if verifying.returncode is None:
            verifying.kill()
    if verifying.returncode not in FOUND or not found:
        words = said.decode(errors="replace").strip().splitlines()
        raise NotVerified(words[-1][:300] if words else f"the verification ended with code {verifying.returncode}")
    return Report.from_json(found)
