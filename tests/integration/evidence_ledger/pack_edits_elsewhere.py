"""What is done to a selection, to the end of a log and to a trust file; each returns the first bad index that must be named."""

import json
import re
from collections.abc import Callable
from typing import Any

from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.note import NoteSigner

from tests.integration.evidence_ledger.pack_copy import Copy, Edit


def a_hash_of_a_proof(copy: Copy) -> int:
    path = sorted((copy.folder / "proofs").iterdir(), key=lambda each: int(each.name.partition(".")[0]))[5]
    lines = path.read_text().split("\n")
    lines[2] = ("B" if lines[2][0] == "A" else "A") + lines[2][1:]
    path.write_text("\n".join(lines))
    return int(path.name.partition(".")[0])


def a_proof_of_another_entry(copy: Copy) -> int:
    one, other = sorted((copy.folder / "proofs").iterdir(), key=lambda each: int(each.name.partition(".")[0]))[5:7]
    at = int(one.name.partition(".")[0])
    one.write_text(re.sub("index [0-9]+", f"index {at}", other.read_text()))
    return at


def a_proof_dropped(copy: Copy) -> None:
    min((copy.folder / "proofs").iterdir()).unlink()


def a_selected_entry_altered(copy: Copy) -> int:
    lines = copy.lines()
    lines[2] = lines[2].replace(b"globex", b"acme", 1)
    copy.keep(lines)
    return int(json.loads(lines[2])["index"])


def the_rotation_dropped(copy: Copy) -> int:
    """Nothing leads to the second key then, and no proof to a root that can be trusted."""
    places = [json.loads(line)["index"] for line in copy.lines()]
    [rotated] = [at for at, line in zip(places, copy.lines(), strict=True) if b"ledger.rotated.v1" in line]
    copy.keep([line for line in copy.lines() if b"ledger.rotated.v1" not in line])
    (copy.folder / f"proofs/{rotated}.tlog-proof").unlink()
    copy.keep([row for row in copy.lines("entries.csv") if b"ledger.rotated.v1" not in row], "entries.csv")
    copy.manifest(entries=len(places) - 1)
    return int(places[0])


SELECTED: dict[str, Edit] = {
    "a hash of a proof": a_hash_of_a_proof,
    "a proof of another entry": a_proof_of_another_entry,
    "a proof dropped": a_proof_dropped,
    "a selected entry altered": a_selected_entry_altered,
    "the rotation dropped": the_rotation_dropped,
}


def cut_short(copy: Copy) -> int:
    """Leave out what came after the last but one checkpoint, so well that every signature left is right."""
    notes = copy.notes()
    del notes[max(notes)]
    size = max(notes)
    for stamp in (copy.folder / "timestamps").iterdir():
        if int(stamp.stem) > size:
            stamp.unlink()
    copy.keep_notes(notes)
    copy.made_of(copy.entries()[:size])
    return size


Believing = Callable[[Copy, dict[str, Any]], int | None]
STRANGER = Ed25519Signer.from_seed(b"a stranger's seed for tests only")


def another_log_key(copy: Copy, trust: dict[str, Any]) -> int:
    trust["log_keys"][0]["key"] = str(NoteSigner(name="ledger.example/tests", signer=STRANGER).verifier_key)
    return 0


def a_key_that_ended_earlier(copy: Copy, trust: dict[str, Any]) -> int:
    sizes = sorted(copy.notes())
    trust["log_keys"][0]["until"] = sizes[2]
    return sizes[1]


def a_key_that_began_later(copy: Copy, trust: dict[str, Any]) -> int:
    trust["log_keys"][0]["from"] = min(copy.notes()) + 1
    return 0


def another_witness(copy: Copy, trust: dict[str, Any]) -> int:
    trust["witnesses"] = [str(Cosigner(name="witness.example/other", signer=STRANGER).verifier_key)]
    return 0


def nobody_may_review(copy: Copy, trust: dict[str, Any]) -> int:
    trust["reviewers"] = {}
    return next(at for at, each in enumerate(copy.entries()) if b'"kind":"release"' in each and b'"review":{' in each)


TRUSTING: dict[str, Believing] = {
    "another key of the log": another_log_key,
    "a key that ended earlier": a_key_that_ended_earlier,
    "a key that began later": a_key_that_began_later,
    "another witness": another_witness,
    "nobody may review": nobody_may_review,
}
