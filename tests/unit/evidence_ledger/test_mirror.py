"""The second copy gives back byte for byte what it was given, survives being cut off anywhere, and never holds two histories."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_evidence_ledger import journal as journals
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.mirror import Mirror
from tierproof_evidence_ledger.mirror_folder import MirrorDiverged, MirrorUnusable
from tierproof_evidence_ledger.tiles_on_disk import bundle_of, entries_in, tile_path, write_all
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.merkle import leaf_hash, node_hash, root_of
from tierproof_proofs.note import NoteSigner, sign_note

ORIGIN = "example.org/log"
SIGNER = NoteSigner(name=ORIGIN, signer=Ed25519Signer.from_seed(bytes(32)))
ENTRIES = [b'{"entry":%d}' % number for number in range(70_000)]


def _note(size: int, entries: list[bytes] = ENTRIES) -> str:
    root = root_of(map(leaf_hash, entries[:size]))
    return sign_note(str(Checkpoint(origin=ORIGIN, size=size, root=root)), [SIGNER])


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Callable[[int], Mirror]]:
    """Open a mirror of so many entries; the one before is closed."""
    opened: list[Mirror] = []

    def mirror(size: int = 0) -> Mirror:
        while opened:
            opened.pop().close()
        opened.append(Mirror.open(tmp_path / "mirror", ORIGIN))
        opened[0].append(0, ENTRIES[:size])
        return opened[0]

    yield mirror
    for each in opened:
        each.close()


@pytest.mark.parametrize("sizes", [[1], [255, 1, 1], [256], [512, 512, 300], [8192], [8191, 2], [9000, 9000, 1]])
def test_what_was_appended_is_there_after_opening_again(at: Callable[..., Mirror], sizes: list[int]) -> None:
    mirror, size = at(), 0
    for count in sizes:
        mirror.append(size, ENTRIES[size : size + count])
        size += count
    again = at()
    assert again.size == size
    assert list(again.entries(0, size)) == ENTRIES[:size]
    assert again.root(size) == root_of(map(leaf_hash, ENTRIES[:size]))


def test_every_size_has_the_root_that_it_had(at: Callable[..., Mirror]) -> None:
    mirror = at(66_300)
    mirror.publish(_note(66_200), 66_200)
    for size in (0, 1, 255, 256, 257, 65_536, 65_537, 66_047, 66_200, 66_300):
        assert mirror.root(size) == root_of(map(leaf_hash, ENTRIES[:size]))
    with pytest.raises(Corrupted, match="knows no root of 66301"):
        mirror.root(66_301)


def test_what_is_there_may_come_again_and_must_be_the_same(at: Callable[..., Mirror]) -> None:
    mirror = at(700)
    mirror.append(100, ENTRIES[100:900])
    assert mirror.size == 900
    with pytest.raises(MirrorDiverged, match="entry 130 of the mirror is another"):
        mirror.append(100, [*ENTRIES[100:130], b"{}", *ENTRIES[131:1000]])
    assert mirror.size == 900, "nothing of a diverging batch is taken"
    mirror.append(900, ENTRIES[900:901])
    assert list(mirror.entries(0, 901)) == ENTRIES[:901]


def test_a_hole_is_refused(at: Callable[..., Mirror]) -> None:
    with pytest.raises(MirrorDiverged, match="holds 10 entries and cannot go on with entry 11"):
        at(10).append(11, [b"{}"])


def test_nothing_is_read_that_is_not_there(at: Callable[..., Mirror]) -> None:
    with pytest.raises(Corrupted, match="holds 10 entries"):
        at(10).entries(5, 11)


def _tile_root(hashes: bytes) -> bytes:
    """Return a tile's root by the recursion of RFC 6962, apart from the code under test."""
    parts = [hashes[place : place + 32] for place in range(0, len(hashes), 32)]
    while len(parts) > 1:
        parts = [node_hash(*parts[place : place + 2]) for place in range(0, len(parts), 2)]
    return parts[0]


def test_a_published_folder_is_what_the_specification_says(at: Callable[..., Mirror], tmp_path: Path) -> None:
    """c2sp.org/tlog-tiles: names, widths, length prefixes; 65,536 + 2 * 256 + 7 entries have tiles of three levels."""
    size, folder = 65_536 + 512 + 7, tmp_path / "mirror"
    mirror = at(size + 300)
    mirror.publish(_note(size), size)
    assert (folder / "checkpoint").read_text() == _note(size) == mirror.checkpoint()
    last = (folder / "tile/entries/258.p/7").read_bytes()
    assert last == b"".join(len(entry).to_bytes(2, "big") + entry for entry in ENTRIES[size - 7 : size])
    assert (folder / "tile/0/258.p/7").read_bytes() == b"".join(map(leaf_hash, ENTRIES[size - 7 : size]))
    assert (folder / "tile/0/000").read_bytes() == b"".join(map(leaf_hash, ENTRIES[:256]))
    level1 = (folder / "tile/1/000").read_bytes()
    assert level1[-32:] == _tile_root((folder / "tile/0/255").read_bytes())
    assert len((folder / "tile/1/001.p/2").read_bytes()) == 2 * 32
    assert (folder / "tile/2/000.p/1").read_bytes() == _tile_root(level1)
    served = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in served if "unfinished" in name]
    assert {name for name in served if ".p/" in name} == {
        "tile/entries/258.p/7",
        "tile/0/258.p/7",
        "tile/1/001.p/2",
        "tile/2/000.p/1",
    }


def test_partial_tiles_go_when_the_full_one_is_published_and_not_before(
    at: Callable[..., Mirror], tmp_path: Path
) -> None:
    folder, mirror = tmp_path / "mirror", at(600)
    for size in (200, 250, 600):
        mirror.publish(_note(size), size)
        partial = sorted(path.name for path in (folder / "tile/0/000.p").glob("*"))
        assert partial == {200: ["200"], 250: ["200", "250"], 600: []}[size], (
            "a reader of an older checkpoint needs them"
        )
    assert (folder / "tile/0/000").exists()
    assert (folder / "tile/entries/000").exists()
    assert not (folder / "tile/entries/000.p").exists()


@pytest.mark.parametrize(
    ("size", "said", "claimed"),
    [(5, "is published, and the mirror holds", 11), (5, "was given as one of 5", 6), (4, "would be a step back", 4)],
)
def test_a_checkpoint_of_something_else_is_not_published(
    at: Callable[..., Mirror], size: int, said: str, claimed: int
) -> None:
    mirror = at(10)
    mirror.publish(_note(5), 5)
    with pytest.raises(MirrorDiverged, match=said):
        mirror.publish(_note(claimed), size)
    assert mirror.checkpoint() == _note(5)


def test_a_checkpoint_of_other_entries_is_not_published(at: Callable[..., Mirror]) -> None:
    mirror = at(10)
    with pytest.raises(MirrorDiverged, match="do not give the root of the checkpoint of 7"):
        mirror.publish(_note(7, [b"{}", *ENTRIES[1:]]), 7)
    foreign = str(Checkpoint(origin="example.org/other", size=7, root=mirror.root(7)))
    with pytest.raises(MirrorDiverged, match=r"is of example\.org/other"):
        mirror.publish(sign_note(foreign, [SIGNER]), 7)
    with pytest.raises(MirrorDiverged, match="an empty line"):
        mirror.publish("nothing", 7)
    assert mirror.checkpoint() is None


@given(st.data())
def test_a_journal_that_was_torn_anywhere_ends_with_its_last_whole_entry(data: st.DataObject) -> None:
    entries = ENTRIES[: data.draw(st.integers(1, 20))]
    whole = journals._records(entries)
    header = journals._HEADER.pack(journals._MAGIC, 0)
    cut = data.draw(st.integers(0, len(whole)))
    torn = whole[:cut] + bytes(data.draw(st.integers(0, 40)))  # a crash may leave zeros where bytes were to come
    found, end = journals._whole(header + torn)
    assert found == entries[: len(found)]
    assert (
        end - len(header) <= cut < end - len(header) + len(journals._records(entries[len(found) : len(found) + 1])) + 1
    )


@pytest.mark.parametrize("tail", [b"\x00", b"\x00" * 300, b"\x00\x00\x00\x05\x00\x00\x00\x00abcde", b"\xff" * 20])
def test_a_torn_last_append_is_cut_off_and_appended_again(
    at: Callable[..., Mirror], tmp_path: Path, tail: bytes
) -> None:
    at(300)
    with (tmp_path / "mirror" / ".journal").open("ab") as journal:
        journal.write(tail)
    mirror = at()
    assert mirror.size == 300
    mirror.append(300, ENTRIES[300:400])
    assert list(at().entries(0, 400)) == ENTRIES[:400]


def test_a_crash_between_files_and_journal_costs_nothing(
    at: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full bundles are written before the journal is shortened; when that does not happen, both are there."""
    mirror = at(700)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journals.Journal, "begin_at", crash)
    with pytest.raises(KeyboardInterrupt):
        mirror.publish(_note(600), 600)
    monkeypatch.undo()
    again = at()
    assert again.checkpoint() is None
    again.publish(_note(600), 600)
    assert list(at().entries(0, 700)) == ENTRIES[:700]


def test_entries_that_a_checkpoint_promises_and_are_gone_are_missed(at: Callable[..., Mirror], tmp_path: Path) -> None:
    at(100).publish(_note(100), 100)
    journal = tmp_path / "mirror" / ".journal"
    os.truncate(journal, journal.stat().st_size - 1)
    with pytest.raises(MirrorDiverged, match="checkpoint of 100 is published, and the mirror holds 99"):
        at()


@pytest.mark.parametrize("lost", ["tile/0/001", "tile/0/007", "tile/entries/003", ".journal"])
def test_a_lost_file_is_named(at: Callable[..., Mirror], tmp_path: Path, lost: str) -> None:
    at(3000).publish(_note(2900), 2900)
    (tmp_path / "mirror" / lost).unlink()
    with pytest.raises(Corrupted, match=f"lacks {Path(lost).name}"):
        list(at().entries(0, 3000))


@pytest.mark.parametrize("damaged", ["tile/0/001", "tile/entries/003", ".journal"])
def test_a_damaged_file_is_noticed(at: Callable[..., Mirror], tmp_path: Path, damaged: str) -> None:
    at(3000).publish(_note(3000), 3000)
    path = tmp_path / "mirror" / damaged
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupted):
        list(at().entries(0, 3000))


def test_one_process_at_a_time(at: Callable[..., Mirror], tmp_path: Path) -> None:
    at(1)
    with pytest.raises(MirrorUnusable, match="another process holds the mirror"):
        Mirror.open(tmp_path / "mirror", ORIGIN)


def test_a_foreign_folder_stays_as_it_is(at: Callable[..., Mirror], tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "one").write_text("x")
    with pytest.raises(Corrupted, match="photographs is not empty and no mirror"):
        Mirror.open(tmp_path / "photographs", ORIGIN)
    assert [path.name for path in (tmp_path / "photographs").iterdir()] == ["one"]
    at(5).close()
    with pytest.raises(Corrupted, match=r"mirror of example\.org/log, not of example\.org/other"):
        Mirror.open(tmp_path / "mirror", "example.org/other")


def test_a_new_volume_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    Mirror.open(tmp_path, ORIGIN).close()


def test_a_full_disk_is_said_and_loses_nothing(at: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = at(300)
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        if len(content) < 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[: len(content) // 2])

    monkeypatch.setattr("tierproof_evidence_ledger.tiles_on_disk.os.write", full)
    with pytest.raises(MirrorUnusable, match="No space left"):
        mirror.append(300, ENTRIES[300:600])
    monkeypatch.undo()
    assert mirror.size == 300
    with pytest.raises(MirrorUnusable, match="open it anew"):
        mirror.append(300, ENTRIES[300:600])
    again = at()
    assert 300 <= again.size < 600
    again.append(300, ENTRIES[300:600])
    assert list(at().entries(0, 600)) == ENTRIES[:600]


def test_a_volume_that_became_read_only_is_said(at: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, opened = at(300), os.open

    def read_only(path: Path, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(MirrorUnusable, match="Read-only file system"):
        mirror.publish(_note(300), 300)
    monkeypatch.undo()
    assert at().checkpoint() is None


def test_a_batch_costs_three_syncs_at_most(at: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch) -> None:
    """Most batches pay one; the bundles of many are written together."""
    mirror, costs, count = at(), [], [0]
    for name in ("fsync", "fdatasync"):
        sync = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda descriptor, sync=sync: (count.__setitem__(0, count[0] + 1), sync(descriptor))
        )
    for first in range(0, 15 * 512, 512):
        count[0] = 0
        mirror.append(first, ENTRIES[first : first + 512])
        costs.append(count[0])
    assert costs == [1] * 15


@pytest.mark.parametrize(("n", "path"), [(0, "000"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067")])
def test_paths_are_those_of_the_specification(n: int, path: str) -> None:
    assert tile_path(3, n) == f"tile/3/{path}"
    assert tile_path(None, n, 112) == f"tile/entries/{path}.p/112"


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    assert list(entries_in(bundle_of(entries))) == entries


def test_an_entry_of_any_allowed_size_fits() -> None:
    assert list(entries_in(bundle_of([bytes(65_535)]))) == [bytes(65_535)]
    with pytest.raises(OverflowError):
        bundle_of([bytes(65_536)])
    with pytest.raises(Corrupted, match="within an entry"):
        list(entries_in(bundle_of([bytes(100)])[:-1]))


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_appending_publishing_and_opening_keeps_the_log(at: Callable[..., Mirror], seed: int) -> None:
    chance, mirror, size, published = random.Random(seed), at(), 0, 0
    for _ in range(25):
        match chance.choice(["append", "append", "publish", "open", "again"]):
            case "append":
                count = chance.choice([1, 3, 255, 256, 257, 512, 2000])
                mirror.append(size, ENTRIES[size : size + count])
                size += count
            case "publish" if size > published:
                published = chance.randint(published + 1, size)
                mirror.publish(_note(published), published)
            case "open":
                mirror = at()
            case _:
                first = chance.randint(0, size)
                mirror.append(first, ENTRIES[first:size])
    assert mirror.size == size
    digest = sha256(b"".join(mirror.entries(0, size))).digest()
    assert digest == sha256(b"".join(ENTRIES[:size])).digest()


def test_entries_are_appended_while_files_are_written(
    at: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = at(700)
    with ThreadPoolExecutor(1) as beside:

        def appending(files: list[tuple[Path, bytes]]) -> None:
            beside.submit(mirror.append, mirror.size, ENTRIES[mirror.size : mirror.size + 200]).result(timeout=20)
            write_all(files)

        monkeypatch.setattr("tierproof_evidence_ledger.mirror.write_all", appending)
        mirror.publish(_note(700), 700)
    assert mirror.size > 700
    size, again = mirror.size, at()
    assert again.size == size
    assert list(again.entries(0, size)) == ENTRIES[:size]
    assert again.checkpoint() == _note(700)
