"""How fast does the stand-alone verifier check a pack, and in how much memory? Targets: flat memory, below 256 MiB at a million entries.

Makes packs of a whole log of 10^4, 10^5 and 10^6 entries of about 1.2 KB with the client's own writer, a signed checkpoint
every 1,000 entries, and runs the verifier on each in a process of its own, once with `cryptography` and once without.
`python loadtests/pack_verification.py [--entries 10000 100000 1000000] [--folder DIR]`
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import machine
from tierproof import pack
from tierproof.cli.export import verifier_file
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import Frontier, leaf_hash, root_of
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

TARGET_MIB, AIM = 256, 40_000
EVERY = 1000
LOG = NoteSigner(name="ledger.example/load", signer=Ed25519Signer.from_seed(b"log key seed, for load tests 32b"))


def entry(index: int) -> bytes:
    """Return an entry like those of a task."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_793_500_000 + index // 100)) + ".125000Z"
    data = {
        "actor": f"producer-{index % 50}",
        "because": "every check passed",
        "filler": f"{index:064x}" * 12,
        "task_id": f"acme_{index // 7:032x}",
        "tenant": "acme",
    }
    event = {
        "data": data,
        "id": f"00000000-0000-4000-8000-{index:012x}",
        "source": "router",
        "time": moment,
        "type": "task.decided.v1",
    }
    said = {"entry": 1, "event": event, "kind": "event", "recorded_at": moment, "stream": "TASK"}
    said |= {"stream_created": "2026-11-01T00:00:00Z", "stream_seq": index + 1}
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def write(folder: Path, size: int, trust: Path) -> None:
    """Write a pack of a whole log, and the trust file."""
    entries, tiles, frontier = (
        pack.EntryFiles(folder, bundles=True),
        pack.TileFiles(folder=folder, size=size),
        Frontier(),
    )
    levels: list[list[bytes]] = [[]]
    note = ""
    with (folder / "checkpoints.jsonl").open("w") as notes:
        for index in range(size):
            content = entry(index)
            entries.add(index, content)
            levels[0].append(leaf_hash(content))
            frontier.append(levels[0][-1])
            if (index + 1) % EVERY == 0 or index + 1 == size:
                note = sign_checkpoint(Checkpoint(origin=LOG.name, size=index + 1, root=frontier.root()), LOG)
                notes.write(json.dumps({"size": index + 1, "note": note}) + "\n")
    entries.close()
    for level, hashes in enumerate(levels):
        for n in range(-(-len(hashes) // pack.TILE_WIDTH)):
            tiles.add(level, n, b"".join(hashes[n * 256 : n * 256 + 256]))
        above = [root_of(hashes[n * 256 : n * 256 + 256]) for n in range(len(hashes) // 256)]
        if above:
            levels.append(above)
    pack.write(folder / "checkpoint", note.encode())
    checkpoint = Checkpoint(origin=LOG.name, size=size, root=frontier.root())
    pack.manifest(folder, checkpoint, selection={}, entries=size, made_at="2026-11-01T12:00:00Z", made_by="load")
    trust.write_text(Trust(log_keys=(LogKey(key=LOG.verifier_key),)).to_json())


def run(target: Path, trust: Path, *options: str) -> dict[str, Any]:
    """Verify a pack in a process of its own; return seconds and peak memory."""
    command = [sys.executable, *options, str(verifier_file()), str(target), "--trust", str(trust), "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = json.load(process.stdout)
    usage = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    seconds = time.perf_counter() - began
    assert said["verified"], said["faults"]
    return {
        "seconds": round(seconds, 2),
        "entries_a_second": round(said["entries"] / seconds),
        "peak_mib": round(usage.ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Make the packs, verify them, write and print the result; exits 1 when the memory target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    described = machine.describe()
    packs = []
    for size in asked.entries:
        folder = Path(tempfile.mkdtemp(dir=asked.folder))
        try:
            (folder / "pack").mkdir()
            maker = get_context("spawn").Process(target=write, args=(folder / "pack", size, folder / "trust.json"))
            maker.start()  # by itself: a child's peak is counted from its parent's
            maker.join()
            told = {"entries": size, "folder": run(folder / "pack", folder / "trust.json")}
            told["folder, without cryptography"] = run(folder / "pack", folder / "trust.json", "-I", "-S")
            packs.append(told)
        finally:
            shutil.rmtree(folder)
        print(json.dumps(told))
    peak = max(told["folder"]["peak_mib"] for told in packs)
    result = {
        "what": "the stand-alone verifier on packs of a whole log, one process on one core",
        "machine": described,
        "verifier": f"sha256:{hashlib.sha256(verifier_file().read_bytes()).hexdigest()}",
        "target_peak_mib": TARGET_MIB,
        "met": peak < TARGET_MIB,
        "aim_entries_a_second": AIM,
        "packs": packs,
    }
    machine.write("pack_verification", result)
    if not result["met"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
