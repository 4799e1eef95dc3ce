"""Snapshots: one content, one uid; a changed byte is found; what is not a record, or not whole, is never visible."""

import errno
import hashlib
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tierproof_curator import decide, snapshot
from tierproof_curator.errors import BuildRefused, RecordRefused, SnapshotDamaged
from tierproof_curator.records import LABELS, LineLimits, lines_of, record_of
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.merkle import leaf_hash, root_of

SIGNER = Ed25519Signer.from_seed(bytes([3]) * 32)
TRUSTED = {"curator": Ed25519Verifier(SIGNER.public_key)}
RULES = decide.Rules(labels=LABELS, licences=("MIT",))


def line(number: int, **changes: Any) -> bytes:
    record = {
        "id": f"r-{number}", "kind": "embedded-fw-c", "label": "internal", "licence": "MIT", "source": "unit/test",
        "prompt": f"question {number}", "completion": f"answer {number}", **changes,
    }  # fmt: skip
    return json.dumps({name: value for name, value in record.items() if value is not None}).encode()


def built(lines: Iterable[bytes], into: Path, memory: int = 1 << 20) -> snapshot.Snapshot:
    return snapshot.build(enumerate(lines, 1), into=into, rules=RULES, sealed=(), signer=SIGNER, memory=memory)


@pytest.mark.requirement("S6-snapshot")
def test_the_same_records_give_the_same_uid_in_whatever_order_and_however_much_memory_there_is(tmp_path: Path) -> None:
    lines = [line(number) for number in range(500)]
    first = built(lines, tmp_path / "one")
    random.Random(1).shuffle(lines)
    second = built([*lines, lines[0]], tmp_path / "two", memory=2000)
    assert first.uid == second.uid
    assert (first.folder / "records.jsonl").read_bytes() == (second.folder / "records.jsonl").read_bytes()
    assert (second.manifest["records"], second.manifest["repeated"]) == (500, 1)


@pytest.mark.requirement("S6-snapshot")
def test_the_uid_is_the_rfc_6962_root_over_the_lines_by_digest(tmp_path: Path) -> None:
    made = built([line(number) for number in range(7)], tmp_path)
    lines = (made.folder / "records.jsonl").read_bytes().splitlines()
    assert lines == sorted(lines, key=lambda each: hashlib.sha256(each).digest())
    assert made.uid == f"sha256:{root_of([leaf_hash(each) for each in lines]).hex()}"


@pytest.mark.requirement("S6-snapshot")
def test_a_snapshot_verifies_and_says_what_it_holds(tmp_path: Path) -> None:
    made = built([line(1), line(2, label="public-permissive")], tmp_path)
    found, said = snapshot.verified(made.folder, TRUSTED)
    assert (found.uid, found.statement) == (made.uid, made.statement)
    assert said.predicate["labels"] == {"internal": 1, "public-permissive": 1}
    assert made.folder.name == made.uid.replace(":", "-")


@pytest.mark.requirement("S6-snapshot")
@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_byte_is_found_and_the_first_bad_record_named(tmp_path: Path, seed: int) -> None:
    made = built([line(number) for number in range(40)], tmp_path)
    path = made.folder / "records.jsonl"
    made_of = path.read_bytes()
    content = bytearray(made_of)
    chance = random.Random(seed)
    at = chance.randrange(len(content))
    content[at] ^= 1 << chance.randrange(7)
    path.chmod(0o644)
    path.write_bytes(content)
    bad = made_of.count(b"\n", 0, at)
    with pytest.raises(SnapshotDamaged) as damaged:
        snapshot.verified(made.folder, TRUSTED)
    assert damaged.value.record == bad
    (made.folder / "leaves.bin").chmod(0o644)
    (made.folder / "leaves.bin").write_bytes(bytes(40 * 32))
    with pytest.raises(SnapshotDamaged) as damaged:
        snapshot.verified(made.folder, TRUSTED)
    assert damaged.value.record in {None, bad, bad + 1}


def test_a_lost_record_a_changed_manifest_and_another_signer_are_found(tmp_path: Path) -> None:
    made = built([line(number) for number in range(10)], tmp_path)
    other = {"curator": Ed25519Verifier(Ed25519Signer.from_seed(bytes([4]) * 32).public_key)}
    with pytest.raises(SnapshotDamaged, match="statement"):
        snapshot.verified(made.folder, other)
    path = made.folder / "records.jsonl"
    path.chmod(0o644)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(SnapshotDamaged, match="record 0: its bytes are not"):
        snapshot.verified(made.folder, TRUSTED)
    made.folder.chmod(0o755)
    (made.folder / "leaves.bin").unlink()
    with pytest.raises(SnapshotDamaged, match="the records give"):
        snapshot.verified(made.folder, TRUSTED)


@pytest.mark.requirement("S6-snapshot")
@pytest.mark.parametrize(
    ("change", "record"),
    [
        (lambda content: content[:-1], 9),
        (lambda content: b"".join(content.splitlines(keepends=True)[:-1]), 9),
        (lambda content: b"".join(content.splitlines(keepends=True)[:4]), 4),
        (lambda content: content + content.splitlines(keepends=True)[3], 10),
        (lambda content: content + b"x" * (1 << 20), 10),
        (lambda _: b"", 0),
    ],
    ids=["last-end-of-line", "last-record", "most-records", "one-more", "a-long-line", "all"],
)
def test_what_is_lost_or_added_is_named(tmp_path: Path, change: Callable[[bytes], bytes], record: int) -> None:
    made = built([line(number) for number in range(10)], tmp_path)
    path = made.folder / "records.jsonl"
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SnapshotDamaged) as damaged:
        snapshot.verified(made.folder, TRUSTED, LineLimits(longest_line=1 << 12))
    assert damaged.value.record == record


@pytest.mark.requirement("S6-labels")
def test_a_repeated_record_counts_once_and_changes_nothing_that_stands(tmp_path: Path) -> None:
    made = built([line(1), line(2, label="public-permissive"), line(2, label="public-permissive")], tmp_path)
    assert made.manifest["labels"] == {"internal": 1, "public-permissive": 1}
    assert all(sum(made.manifest[by].values()) == 2 for by in ("labels", "licences", "kinds", "sources"))
    again = built([line(2, label="public-permissive"), line(1)], tmp_path)
    assert (again.folder, again.statement) == (made.folder, made.statement)
    assert snapshot.verified(again.folder, TRUSTED)[0].statement == again.statement


@pytest.mark.requirement("S6-labels")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": "scraped"}, "label"),
        ({"licence": "MIT;rm"}, "licence"),
        ({"licence": "GPL-3.0-only"}, "licence"),
        ({"mood": "good"}, "mood"),
        ({"source": None}, "source"),
        ({"completion": None}, "(record)"),
        ({"completion": " "}, "(record)"),
        ({"completion": None, "chosen": "a", "rejected": "a "}, "(record)"),
        ({"prompt": 7}, "prompt"),
        ({"id": "../x"}, "id"),
    ],
)
def test_a_bad_record_is_refused_by_line_and_field(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        built([line(1), line(2, **changes)], tmp_path)
    assert (refused.value.line, refused.value.field) == (2, field)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b'{"id":"a","id":"b"}', b'{"x":NaN}', b"[" * 5000])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(RecordRefused, match="line 7"):
        record_of(content, 7)


@pytest.mark.requirement("S6-snapshot")
def test_a_line_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(line(1) + b"\n")
        file.truncate(2 << 30)  # a sparse file: 2 GB of zeros in one line
    lines = lines_of(path, LineLimits(longest_line=1 << 16))
    assert next(lines)[0] == 1
    with pytest.raises(RecordRefused, match=r"line 2: .*longer than 65536 bytes"):
        next(lines)


@pytest.mark.requirement("S6-snapshot")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(snapshot, "_write", full)
    with pytest.raises(BuildRefused, match="No space left"):
        built([line(1)], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("S6-snapshot")
def test_a_snapshot_never_changes(tmp_path: Path) -> None:
    made = built([line(1)], tmp_path)
    again = built([line(1)], tmp_path)
    assert again.folder == made.folder
    made_of = (made.folder / "manifest.json").read_text()
    (made.folder / "manifest.json").chmod(0o644)
    for other in ("{}", "[]", "not JSON", made_of.replace('"records": 1', '"records": 2')):
        (made.folder / "manifest.json").write_text(other)
        with pytest.raises(BuildRefused, match="a snapshot never changes"):
            built([line(1)], tmp_path)
    with pytest.raises(BuildRefused, match="no records"):
        built([], tmp_path)
