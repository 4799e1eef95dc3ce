"""What a forger does to a pack of a whole log; each returns the first bad index that must be named, None where none applies."""

import re
from typing import Any

from tests.integration.evidence_ledger.pack_copy import Copy, Edit


def replaced(event_type: str, old: bytes, new: bytes) -> Edit:
    """Change words of the first event of a type."""

    def words(copy: Copy) -> int:
        at, lines = copy.of_type(event_type), copy.lines()
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new, 1)
        copy.keep(lines)
        return at

    return words


def a_byte_of_an_entry(copy: Copy) -> int:
    at, lines = len(copy.lines()) // 2, copy.lines()
    place = lines[at].index(b'"recorded_at":"20') + 17
    lines[at] = lines[at][:place] + b"3" + lines[at][place + 1 :]
    copy.keep(lines)
    return at


def two_entries_swapped(copy: Copy) -> int:
    entries = copy.entries()
    entries[40], entries[41] = entries[41], entries[40]
    copy.keep([b'{"index":%d,"entry":%b}\n' % each for each in enumerate(entries)])
    return 40


def an_entry_dropped(copy: Copy) -> int:
    lines = copy.lines()
    del lines[77]
    copy.keep(lines)
    return 77


def an_entry_dropped_and_everything_made_anew(copy: Copy) -> int:
    entries = copy.entries()
    at = copy.of_type("ledger.held.v1")
    del entries[at]
    copy.made_of(entries)
    return copy.sound_until(at)


def an_erasure_altered_and_everything_made_anew(copy: Copy) -> int:
    entries, at = copy.entries(), copy.of_type("ledger.erased.v1")
    entries[at] = entries[at].replace(b"they asked for it", b"it was in the way")
    copy.made_of(entries)
    return copy.sound_until(at)


def the_tail_dropped(copy: Copy) -> int:
    lines = copy.lines()
    copy.keep(lines[:-3])
    return len(lines) - 3


def an_entry_added(copy: Copy) -> int:
    size = len(copy.lines())
    copy.keep([*copy.lines(), copy.lines()[-1].replace(b'{"index":%d' % (size - 1), b'{"index":%d' % size)])
    return size


def a_review_moved(copy: Copy) -> int:
    entries = copy.entries()
    released = [at for at, each in enumerate(entries) if b'"kind":"release"' in each and b'"review":{' in each]
    review = re.compile(rb'"review":\{.*?\}')
    [moved] = review.findall(entries[released[0]])
    entries[released[1]] = review.sub(lambda _: moved, entries[released[1]], count=1)
    copy.made_of(entries)
    return released[1]


def another_origin(copy: Copy) -> int:
    notes = copy.notes()
    size = [*notes][3]
    notes[size] = notes[size].replace("ledger.example/tests", "ledger.example/other")
    copy.keep_notes(notes)
    return copy.sound_until(size - 1)


def no_cosignature(copy: Copy) -> int:
    notes = copy.notes()
    size = [*notes][4]
    notes[size] = "\n".join(line for line in notes[size].split("\n") if "witness.example" not in line)
    copy.keep_notes(notes)
    return copy.sound_until(size - 1)


def a_cosignature_of_another_checkpoint(copy: Copy) -> int:
    notes = copy.notes()
    before, size = [*notes][3:5]
    told = [line for line in notes[before].split("\n") if "witness.example" in line]
    kept = [line for line in notes[size].split("\n") if line and "witness.example" not in line]
    kept.insert(3, "")
    notes[size] = "\n".join([*kept, *told, ""])
    copy.keep_notes(notes)
    return before


def a_checkpoint_dropped_at_the_end(copy: Copy) -> int:
    notes = copy.notes()
    size = max(notes)
    del notes[size]
    kept = (copy.folder / "checkpoint").read_text()
    copy.keep_notes(notes)
    (copy.folder / "checkpoint").write_text(kept)
    return max(notes)


def an_older_checkpoint(copy: Copy) -> int:
    notes = copy.notes()
    (copy.folder / "checkpoint").write_text(notes[sorted(notes)[-2]])
    return max(notes)


def a_stamp_replaced(copy: Copy) -> None:
    one, other = sorted((copy.folder / "timestamps").iterdir())[:2]
    one.write_bytes(other.read_bytes())


def a_cell_of_the_table(copy: Copy) -> int:
    rows = copy.lines("entries.csv")
    at = copy.of_type("ledger.erased.v1")
    rows[at + 1] = rows[at + 1].replace(b"they asked for it", b"it was in the way")
    copy.keep(rows, "entries.csv")
    return at


def flipped(name: str, place: int, bad: int) -> Edit:
    """Change one bit of a file."""

    def bit(copy: Copy) -> int:
        [path] = copy.folder.glob(name)
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
        return bad

    return bit


def told_by_the_manifest(**members: Any) -> Edit:
    """Let the manifest say something else."""

    def says(copy: Copy) -> int:
        copy.manifest(**members)
        return max(copy.notes())

    return says


WHOLE: dict[str, Edit] = {
    "a byte of an entry": a_byte_of_an_entry,
    "two entries swapped": two_entries_swapped,
    "an entry dropped": an_entry_dropped,
    "an entry dropped, all made anew": an_entry_dropped_and_everything_made_anew,
    "an entry added": an_entry_added,
    "the tail dropped": the_tail_dropped,
    "the reason of an erasure": replaced("ledger.erased.v1", b"they asked for it", b"it was in the way"),
    "the reason of an erasure, all made anew": an_erasure_altered_and_everything_made_anew,
    "the tenant of a hold": replaced("ledger.held.v1", b"globex", b"acme"),
    "a text's commitment": replaced("task.submitted.v1", b"hmac-sha256:", b"hmac-sha256:0"),
    "a rotation's end": replaced("ledger.rotated.v1", b'"until_old":', b'"until_old":9'),
    "a review moved": a_review_moved,
    "another origin": another_origin,
    "no cosignature": no_cosignature,
    "a cosignature of another checkpoint": a_cosignature_of_another_checkpoint,
    "the last checkpoint dropped": a_checkpoint_dropped_at_the_end,
    "an older checkpoint": an_older_checkpoint,
    "a stamp replaced": a_stamp_replaced,
    "a cell of the table": a_cell_of_the_table,
    "a leaf": flipped("tile/0/000", 32 * 99 + 5, 99),
    "a tile above": flipped("tile/1/000.p/1", 7, 0),
    "a bundle": flipped("tile/entries/000", 40, 0),
    "the manifest's root": told_by_the_manifest(root="00" * 32),
    "the manifest's count": told_by_the_manifest(entries=3),
}
