"""How much memory and time does writing an export pack take? Target: peak resident memory below 256 MiB at a million entries.

The ledger's side is made up page by page in the same process, so its memory and time count, too: entries of about 1.2 KB, their real
tiles and a signed checkpoint. No broker, no database. `python loadtests/export_pack.py [--entries 1000000] [--folder DIR]`
"""

import argparse
import asyncio
import base64
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from tierproof import exporting
from tierproof_contracts import audit
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import HASH_SIZE, leaf_hash, root_of
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

TARGET_MIB = 256
PAGE_BYTES = 1 << 20
SIGNER = NoteSigner(name="ledger.example/load", signer=Ed25519Signer.from_seed(b"log key seed, for load tests 32b"))


def entry(index: int) -> str:
    """Return an entry like those of a task."""
    data = {
        "actor": f"producer-{index % 50}",
        "because": "every check passed",
        "filler": f"{index:064x}" * 14,
        "task_id": f"acme_{index // 7:032x}",
        "tenant": "acme",
    }
    event = {"data": data, "id": f"00000000-0000-4000-8000-{index:012x}", "source": "router", "type": "task.decided.v1"}
    return json.dumps({"entry": 1, "event": event, "kind": "event"}, separators=(",", ":"))


class MadeUp:
    """A ledger of `size` entries that are made when they are asked for; its hashes take 32 bytes each."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.levels = [bytearray()]
        for index in range(size):
            self.levels[0] += leaf_hash(entry(index).encode())
        while len(self.levels[-1]) >= 256 * HASH_SIZE:
            below = self.levels[-1]
            tiles = range(0, len(below) // (256 * HASH_SIZE) * 256 * HASH_SIZE, 256 * HASH_SIZE)
            self.levels.append(bytearray(b"".join(root_of(_parts(below[at : at + 256 * HASH_SIZE])) for at in tiles)))
        root = root_of(_parts(self.levels[0]))
        self.note = sign_checkpoint(Checkpoint(origin=SIGNER.name, size=size, root=root), SIGNER)

    async def ask(self, question: Any, answer: type[Any]) -> Any:  # noqa: ANN401 - any question
        """Answer as the ledger does, through JSON."""
        members = getattr(self, question.name.replace("-", "_"))(question)
        said = answer(export=0, **members).model_dump_json(exclude_none=True)
        return answer.model_validate_json(said)

    def export_entries(self, question: audit.ExportEntriesAsked) -> dict[str, Any]:
        """Return a page of about a mebibyte."""
        told, used, index = [], 0, 0 if question.after is None else question.after + 1
        while index < self.size and used < PAGE_BYTES:
            told.append(audit.RawEntry(index=index, entry=entry(index)))
            used += len(told[-1].entry)
            index += 1
        note = None if question.size else self.note
        return {"size": self.size, "checkpoint": note, "entries": told, "more": index < self.size}

    def export_tiles(self, question: audit.ExportTilesAsked) -> dict[str, Any]:
        """Return tiles of one level."""
        level, width = self.levels[question.level], 256 * HASH_SIZE
        told = []
        for n in range(question.n, min(question.n + 90, -(-len(level) // width))):
            hashes = bytes(level[n * width : (n + 1) * width])
            encoded = base64.b64encode(hashes).decode()
            told.append(audit.HashTile(level=question.level, n=n, width=len(hashes) // HASH_SIZE, hashes=encoded))
        next_level, next_n = question.level, question.n + len(told)
        if next_n * width >= len(level):
            next_level, next_n = question.level + 1, 0
        over = next_level >= len(self.levels)
        return {"tiles": told, "next_level": None if over else next_level, "next_n": None if over else next_n}

    def export_checkpoints(self, _: audit.ExportCheckpointsAsked) -> dict[str, Any]:
        """Return the one checkpoint."""
        return {"checkpoints": [audit.CheckpointNote(size=self.size, note=self.note)], "more": False}

    def export_stamps(self, _: audit.ExportStampsAsked) -> dict[str, Any]:
        """Return none."""
        return {"stamps": [], "more": False}


def _parts(hashes: bytes | bytearray) -> list[bytes]:
    return [bytes(hashes[at : at + HASH_SIZE]) for at in range(0, len(hashes), HASH_SIZE)]


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    """Write one pack, the result, and print it; exits 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    described = machine.describe()
    ledger = MadeUp(asked.entries)
    before = _peak_mib()
    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    wanted = exporting.Wanted(
        question=audit.ExportEntriesAsked(),
        trust=Trust(log_keys=(LogKey(key=SIGNER.verifier_key),)),
        verifier=b"",
        made_by="auditor",
        made_at="2026-11-01T12:00:00Z",
        proofs=0,
    )
    began = time.perf_counter()
    try:
        asyncio.run(exporting.export(ledger.ask, folder / "pack.zip", wanted, lambda *_: None))
        seconds = time.perf_counter() - began
        packed = (folder / "pack.zip").stat().st_size
    finally:
        shutil.rmtree(folder)
    peak = _peak_mib()
    result = {
        "what": "writing a .zip pack of a whole log, the ledger's answers made up in the same process",
        "machine": described,
        "target_peak_mib": TARGET_MIB,
        "met": peak < TARGET_MIB,
        "entries": asked.entries,
        "seconds": round(seconds, 1),
        "peak_mib": peak,
        "peak_mib_before_the_export": before,
        "packed_mib": round(packed / 2**20, 1),
    }
    machine.write("export_pack", result)
    print(json.dumps(result, indent=1))
    if not result["met"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
