"""A signed record of a build that failed because it overlapped an examination: who looks later sees that it was tried.

`rejected/<digest of the statement>.dsse.json` below the folder of snapshots: an in-toto Statement whose subject is the file of records.
It names records and items by id and holds no text.
"""

import hashlib
import json
import os
from pathlib import Path

from tierproof_proofs import digests
from tierproof_proofs.keys import Signer
from tierproof_proofs.statements import sign_statement, statement_bytes

from tierproof_curator.errors import BuildRefused, Contaminated

FOLDER = "rejected"
PREDICATE = "urn:tierproof:dataset-rejection:v1"


def record(refused: Contaminated, records: Path, *, into: Path, signer: Signer) -> Path:
    """Write the rejection and return its path; the same rejection is written once. Raises BuildRefused when it cannot be kept."""
    overlapping = [{"record": name, "item": item, "view": view} for name, item, view in refused.found]
    try:
        said = {"sealed": refused.sealed, "overlapping": overlapping}
        payload = statement_bytes({"records": digests.of_file(records)}, PREDICATE, said)
        target = into / FOLDER / f"{hashlib.sha256(payload).hexdigest()}.dsse.json"
        if not target.exists():
            _write(target, (json.dumps(sign_statement(payload, [signer]), indent=1) + "\n").encode())
    except OSError as error:
        because = f"the rejection cannot be kept in {into}: {error.strerror or error}"
        raise BuildRefused(f"{refused.diagnosis()}; {because}") from None
    return target


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o444)
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
