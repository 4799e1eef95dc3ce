"""A pack that anybody touched is refused, and the first bad index is named; an untouched one never is."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.verify import packs
from tests.contract.verify.loading import load
from tests.contract.verify.packs import Log, log_of, seal

verifier = load()
Tampering = Callable[[Path, Log, random.Random], int | None]


def lines(folder: Path, name: str) -> list[bytes]:
    return (folder / name).read_bytes().splitlines(keepends=True)


def keep(folder: Path, name: str, kept: list[bytes]) -> None:
    (folder / name).write_bytes(b"".join(kept))


def edit_entry(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(600), lines(folder, "entries.jsonl")
    kept[at] = kept[at].replace(b'"entry":1,', b'"entry":2,')
    keep(folder, "entries.jsonl", kept)
    return at


def delete_entry(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(600), lines(folder, "entries.jsonl")
    del kept[at]
    keep(folder, "entries.jsonl", kept)
    return at


def duplicate_entry(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(600), lines(folder, "entries.jsonl")
    kept.insert(at, kept[at])
    keep(folder, "entries.jsonl", kept)
    return at


def reorder_entries(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(599), lines(folder, "entries.jsonl")
    kept[at], kept[at + 1] = kept[at + 1], kept[at]
    keep(folder, "entries.jsonl", kept)
    return at


def swap_contents(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(1, 599), lines(folder, "entries.jsonl")
    here, there = (line.split(b',"entry":', 1) for line in kept[at : at + 2])
    kept[at : at + 2] = [here[0] + b',"entry":' + there[1], there[0] + b',"entry":' + here[1]]
    keep(folder, "entries.jsonl", kept)
    return at


def append_entry(folder: Path, log: Log, rng: random.Random) -> int:
    added = b'{"index":600,"entry":%b}\n' % packs.canonical(packs.entry(600))
    keep(folder, "entries.jsonl", [*lines(folder, "entries.jsonl"), added])
    return 600


def edit_csv(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(600), lines(folder, "entries.csv")
    kept[at + 1] = kept[at + 1].replace(b"acme", b"evil", 1)
    keep(folder, "entries.csv", kept)
    return at


def add_csv_row(folder: Path, log: Log, rng: random.Random) -> int:
    kept = lines(folder, "entries.csv")
    keep(folder, "entries.csv", [*kept, kept[-1]])
    return 600


def drop_csv_row(folder: Path, log: Log, rng: random.Random) -> int:
    at, kept = rng.randrange(600), lines(folder, "entries.csv")
    del kept[at + 1]
    keep(folder, "entries.csv", kept)
    return at


def other_columns(folder: Path, log: Log, rng: random.Random) -> int:
    kept = lines(folder, "entries.csv")
    kept[0] = kept[0].replace(b"occurred_at", b"recorded_at")
    keep(folder, "entries.csv", kept)
    return 0


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def edit_tile(folder: Path, log: Log, rng: random.Random) -> int:
    at = rng.randrange(256)
    flip(folder / "tile/0/000", at * 32 + rng.randrange(32))
    return at


def edit_partial_tile(folder: Path, log: Log, rng: random.Random) -> int:
    at = rng.randrange(88)
    flip(folder / "tile/0/002.p/88", at * 32)
    return 512 + at


def edit_upper_tile(folder: Path, log: Log, rng: random.Random) -> int:
    at = rng.randrange(2)
    flip(folder / "tile/1/000.p/2", at * 32 + 3)
    return 0  # where the tile begins


def edit_bundle(folder: Path, log: Log, rng: random.Random) -> int:
    flip(folder / "tile/entries/001", rng.randrange(2, 300))
    return 256


def cut_bundle(folder: Path, log: Log, rng: random.Random) -> int:
    path = folder / "tile/entries/002.p/88"
    path.write_bytes(path.read_bytes()[: -rng.randrange(1, 999)])
    return 512


def drop_bundle(folder: Path, log: Log, rng: random.Random) -> int:
    (folder / "tile/entries/001").unlink()
    return 256


def drop_upper_tile(folder: Path, log: Log, rng: random.Random) -> int:
    (folder / "tile/1/000.p/2").unlink()
    return 0


def drop_tile(folder: Path, log: Log, rng: random.Random) -> int:
    (folder / "tile/0/001").unlink()
    return 256


def add_tile(folder: Path, log: Log, rng: random.Random) -> None:
    packs.put(folder / "tile/0/003.p/1", bytes(32))


def short_tile(folder: Path, log: Log, rng: random.Random) -> int:
    path = folder / "tile/0/001"
    path.write_bytes(path.read_bytes()[:-32])
    return 256


def edit_root(folder: Path, log: Log, rng: random.Random) -> int:
    kept = lines(folder, "checkpoints.jsonl")
    said = json.loads(kept[2])
    said["note"] = said["note"].replace(packs.b64(packs.root_of(log.hashes[:300])), packs.b64(bytes(32)))
    kept[2] = json.dumps(said).encode() + b"\n"
    keep(folder, "checkpoints.jsonl", kept)
    return 200


def broken_line(which: int) -> Tampering:
    def tamper(folder: Path, log: Log, rng: random.Random) -> int:
        kept = lines(folder, "checkpoints.jsonl")
        said = json.loads(kept[3])
        parts = said["note"].split("\n")
        at = len(parts) - 2 - which
        words = parts[at].split(" ")
        raw = bytearray(verifier.unbase64(words[2]))
        raw[-5] ^= 1
        parts[at] = f"{words[0]} {words[1]} {packs.b64(bytes(raw))}"
        kept[3] = json.dumps({"size": 400, "note": "\n".join(parts)}).encode() + b"\n"
        keep(folder, "checkpoints.jsonl", kept)
        return 300

    return tamper


def swap_checkpoints(folder: Path, log: Log, rng: random.Random) -> int:
    kept = lines(folder, "checkpoints.jsonl")
    kept[1], kept[2] = kept[2], kept[1]
    keep(folder, "checkpoints.jsonl", kept)
    return 300  # up to there, a signed checkpoint says that the log is right


def drop_last_checkpoint(folder: Path, log: Log, rng: random.Random) -> int:
    keep(folder, "checkpoints.jsonl", lines(folder, "checkpoints.jsonl")[:-1])
    return 500


def older_checkpoint(folder: Path, log: Log, rng: random.Random) -> int:
    (folder / "checkpoint").write_text(log.note(500))
    return 600


def no_cosignature(folder: Path, log: Log, rng: random.Random) -> int:
    note = log.note(600)
    (folder / "checkpoint").write_text(note[: note.rindex("\u2014")])
    return 600


def no_log_signature(folder: Path, log: Log, rng: random.Random) -> int:
    head, _, tail = log.note(600).partition("\u2014 ")
    (folder / "checkpoint").write_text(head + tail[tail.index("\u2014") :])
    return 600


FILES: list[Tampering] = [
    edit_entry,
    delete_entry,
    duplicate_entry,
    reorder_entries,
    swap_contents,
    append_entry,
]
FILES += [edit_tile, edit_partial_tile, drop_tile, short_tile, edit_root]
FILES += [swap_checkpoints, drop_last_checkpoint, older_checkpoint, no_cosignature, no_log_signature]
FILES += [broken_line(0), broken_line(1)]
FILES += [edit_csv, add_csv_row, drop_csv_row, other_columns, edit_bundle, cut_bundle, drop_bundle]
FILES += [edit_upper_tile, drop_upper_tile, add_tile]


def verified(folder: Path, trust: bytes, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = verifier.verify(str(folder), trust, **options)
    return report


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(b)")
@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600, 1024])
def test_a_pack_that_nobody_touched_is_verified(tmp_path: Path, count: int) -> None:
    log = log_of(count)
    report = verified(log.write(tmp_path), log.trust())
    assert report["verified"], report["faults"]
    assert report["entries"] == count


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(b)")
def test_a_selection_is_verified_with_its_proofs(tmp_path: Path) -> None:
    log = log_of()
    log.selected = (0, 49, 255, 256, 511, 512, 599)
    report = verified(log.write(tmp_path), log.trust())
    assert report["verified"], report["faults"]
    assert report["proofs"] == 7


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(a)")
@pytest.mark.parametrize("resealed", [True, False])
@pytest.mark.parametrize("at", range(len(FILES)))
def test_a_changed_file_is_found_with_the_first_bad_index(tmp_path: Path, at: int, *, resealed: bool) -> None:
    log = log_of()
    log.write(tmp_path)
    first = FILES[at](tmp_path, log, random.Random(at))
    if resealed:
        seal(tmp_path, log)
    report = verified(tmp_path, log.trust())
    assert not report["verified"]
    assert report["first_bad_index"] == first, report["faults"]


def altered(index: int, **members: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda made: made[index].update(members)


def second_outcome(made: list[dict[str, Any]]) -> None:
    made[120] = packs.release(120, 98)


def moved_review(made: list[dict[str, Any]]) -> None:
    made[149]["review"] = made[99]["review"]


def stranger_reviews(made: list[dict[str, Any]]) -> None:
    made[149] = packs.release(149, 148, reviewer="mallory")


def other_place(made: list[dict[str, Any]]) -> None:
    made[149]["event"]["data"]["ledger"]["index"] = 150


def same_id(made: list[dict[str, Any]]) -> None:
    made[70]["event"]["id"] = made[60]["event"]["id"]


def forged_word(made: list[dict[str, Any]]) -> None:
    made[149]["review"]["reason"] = "another"


RULES: list[tuple[Callable[[list[dict[str, Any]]], object], int]] = [
    (second_outcome, 120), (moved_review, 149), (stranger_reviews, 149), (other_place, 149), (same_id, 70),
    (forged_word, 149), (altered(80, stream_seq=80), 80), (altered(80, recorded_at=packs.moment(packs.START - 500)), 80),
    (altered(99, recorded_at=packs.moment(packs.START + 9000)), 99),
    (altered(80, recorded_at="soon"), 80), (altered(80, share=0.5), 80),
    (lambda made: made[199].pop("review"), 199),
]  # fmt: skip


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(a)")
@pytest.mark.parametrize("at", range(len(RULES)))
def test_a_log_that_breaks_its_rules_is_found_although_every_hash_is_right(tmp_path: Path, at: int) -> None:
    log = log_of()
    made = [json.loads(each) for each in log.entries]
    change, first = RULES[at]
    change(made)
    log.entries = [packs.canonical(each) for each in made]
    report = verified(log.write(tmp_path), log.trust())
    assert not report["verified"]
    assert report["first_bad_index"] == first, report["faults"]


@pytest.mark.parametrize("members", [{"log_key": "other"}, {"witness": "other"}, {"shift": -9999}])
def test_other_keys_and_shifted_witnesses_are_found(tmp_path: Path, members: dict[str, Any]) -> None:
    log = log_of()
    for name, value in members.items():
        setattr(log, name, value)
    assert not verified(log.write(tmp_path), log.trust())["verified"]


def test_a_key_outside_its_window_signs_nothing(tmp_path: Path) -> None:
    log = log_of()
    keys = [{"key": packs.vkey(packs.ORIGIN, 1, packs.private("log")), "from": 0, "until": 300}]
    report = verified(log.write(tmp_path), log.trust(log_keys=keys))
    assert report["first_bad_index"] == 200


def rotated(by: str = "log") -> Log:
    log = log_of()
    act = packs.entry(250)
    said = {"actor": "ada", "old": packs.vkey(packs.ORIGIN, 1, packs.private(by)), "from": 251, "until_old": 400}
    said["key"] = packs.vkey(packs.ORIGIN, 1, packs.private("log-2"))
    act["event"] |= {"type": "ledger.rotated.v1", "data": said}
    act["kind"] = "act"
    log.entries[250] = packs.canonical(act)
    log.rotation = (251, 400)
    return log


def test_a_rotation_is_followed_from_the_first_key_alone(tmp_path: Path) -> None:
    log = rotated()
    report = verified(log.write(tmp_path), log.trust())
    assert report["verified"], report["faults"]


def test_a_rotation_from_a_key_that_nobody_trusts_is_not_followed(tmp_path: Path) -> None:
    log = rotated("other")
    assert not verified(log.write(tmp_path), log.trust())["verified"]


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(a)")
def test_a_shorter_or_other_log_than_the_known_one_is_found(tmp_path: Path) -> None:
    log, short = log_of(), log_of(500)
    known = {600: packs.root_of(log.hashes).hex()}
    assert verified(short.write(tmp_path), log.trust(), known=known)["first_bad_index"] == 500
    fork = log_of(600)
    fork.entries[333] = packs.canonical(packs.entry(333, subject="another"))
    (tmp_path / "fork").mkdir()
    folder = fork.write(tmp_path / "fork")
    assert verified(folder, log.trust())["verified"]
    assert not verified(folder, log.trust(), known=known)["verified"]


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(a)")
def test_a_dropped_and_a_broken_proof_are_found(tmp_path: Path) -> None:
    log = log_of()
    log.selected = (3, 77)
    path = log.write(tmp_path) / "proofs/77.tlog-proof"
    content = path.read_text()
    path.write_text(content.replace("index 77", "index 3"))
    assert not verified(tmp_path, log.trust())["verified"]
    path.unlink()
    assert not verified(tmp_path, log.trust())["verified"]
    (tmp_path / "proofs/3.tlog-proof").write_text(content.replace("index 77", "index 3"))
    path.write_text(content)
    assert verified(tmp_path, log.trust())["first_bad_index"] == 3


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(a)")
def test_one_fault_is_told_once(tmp_path: Path) -> None:
    log = log_of()
    log.write(tmp_path)
    delete_entry(tmp_path, log, random.Random(1))
    seal(tmp_path, log)
    found = verified(tmp_path, log.trust())["faults"]
    assert [each["fault"].split(":")[0] for each in found] == ["entries.jsonl", "tile", "checkpoint"]


@pytest.mark.requirement("LED-proof")
def test_every_published_checkpoint_must_reach_the_quorum(tmp_path: Path) -> None:
    log = log_of()
    log.write(tmp_path)
    kept = lines(tmp_path, "checkpoints.jsonl")
    note = log.note(200)
    kept[1] = json.dumps({"size": 200, "note": note[: note.rindex("\u2014")]}).encode() + b"\n"
    keep(tmp_path, "checkpoints.jsonl", kept)
    seal(tmp_path, log)
    report = verified(tmp_path, log.trust())
    assert [each["fault"] for each in report["faults"]] == [
        "checkpoints.jsonl: 200: 0 witnesses have cosigned it, 1 are needed"
    ]
    assert report["first_bad_index"] == 100


@pytest.mark.requirement("LED-proof")
def test_an_entry_that_is_dated_before_a_cosignature_below_it_is_found(tmp_path: Path) -> None:
    """Nobody sees the clock run back, for nothing was recorded meanwhile; the witness does."""
    log = log_of(200)
    log.shift = 3000
    folder = log.write(tmp_path)
    assert verified(folder, log.trust(), within=60)["first_bad_index"] == 100
    report = verified(folder, log.trust())
    assert report["verified"], "a slow witness looks the same: only the reader knows how slow it may be"
    assert any("--cosigned-within" in each for each in report["not_checked"])
