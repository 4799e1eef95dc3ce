"""What a superuser can do to the log itself.

Each tampering changes something at a random place and returns the first entry that is not as it was, None where no single one is.
They are as careful as somebody who knows the source: where leaf hashes, tiles or the schema can be made to fit, they are.
"""

import json
from collections.abc import Sequence

from tierproof_evidence_ledger.canonical import canonical
from tierproof_proofs.note import NoteSigner, SignatureLine, parse_note, sign_note

from tests.integration.evidence_ledger.attack_scene import Scene, an_act, edited, tampering
from tests.integration.evidence_ledger.campaign_ledger import NEXT, STRANGER

# Entries and what follows from them


@tampering("a word of an entry is edited")
def _(scene: Scene) -> int:
    seq = scene.seq()
    return scene.write(seq, edited(scene, seq))


@tampering("a byte of an entry is flipped")
def _(scene: Scene) -> int:
    seq = scene.seq()
    content = bytearray(scene.content(seq))
    content[scene.dice.randrange(len(content))] ^= 1 << scene.dice.randrange(8)
    return scene.write_anything(seq, bytes(content))


@tampering("an entry is cut short")
def _(scene: Scene) -> int:
    seq = scene.seq()
    content = scene.content(seq)
    return scene.write_anything(seq, content[: scene.dice.randrange(len(content))])


@tampering("white space is added to an entry")
def _(scene: Scene) -> int:
    seq = scene.seq()
    where = scene.dice.choice([b'"entry":1', b'"kind":', b'"recorded_at":'])
    return scene.write(seq, scene.content(seq).replace(where, where.replace(b":", b": "), 1))


@tampering("the members of an entry are reordered")
def _(scene: Scene) -> int:
    seq = scene.seq()
    entry = scene.entry(seq)
    content = json.dumps(dict(reversed(entry.items())), ensure_ascii=False, separators=(",", ":")).encode()
    return scene.write(seq, content)


@tampering("an entry and its leaf hash in the checkpoint are edited")
def _(scene: Scene) -> None:
    seq = scene.seq()
    scene.write(seq, edited(scene, seq))
    scene.fix_leaves(seq)


@tampering("an entry and its tile are edited")
def _(scene: Scene) -> int:
    seq = scene.seq()
    scene.write(seq, edited(scene, seq))
    scene.fix_tile(seq)
    return seq


@tampering("an entry, its leaf hash and its tile are edited")
def _(scene: Scene) -> None:
    seq = scene.seq()
    scene.write(seq, edited(scene, seq))
    scene.fix_leaves(seq)
    scene.fix_tile(seq)


@tampering("an entry is edited and everything is hashed and signed anew, with a stranger's key")
def _(scene: Scene) -> None:
    seq = scene.seq()
    scene.write(seq, edited(scene, seq))
    scene.fix_leaves(seq)
    scene.fix_tile(seq)
    scene.sign_all(lambda _: [STRANGER], since=seq)


@tampering("an entry is edited and everything is hashed and signed anew, with the log's own keys")
def _(scene: Scene) -> None:
    seq = scene.dice.randrange(scene.attacked.published[-1])
    scene.write(seq, edited(scene, seq))
    scene.fix_leaves(seq)
    scene.fix_tile(seq)
    scene.sign_all(lambda _: [scene.attacked.first_key, NEXT], since=seq)


def signers(scene: Scene) -> list[NoteSigner]:
    """Return both keys of the log: those of a sequencer that a thief has copied."""
    return [scene.attacked.first_key, NEXT]


@tampering("a review's signature is moved to another entry")
def _(scene: Scene) -> int:
    reviews = scene.all("SELECT seq FROM ledger.entry WHERE (said).event_type = 'review.decided.v1' ORDER BY seq")
    (first,), (second,) = sorted(scene.dice.sample(reviews, 2))
    one, other = scene.entry(first), scene.entry(second)
    other["event"]["data"]["signature"] = one["event"]["data"]["signature"]
    return scene.write(second, canonical(other))


@tampering("the clock of some entries is shifted, and hashes follow")
def _(scene: Scene) -> None:
    first = scene.seq()
    for seq in range(first, min(first + scene.dice.randint(1, 20), scene.attacked.size)):
        entry = scene.entry(seq)
        entry["recorded_at"] = entry["recorded_at"].replace("2026-11", "2026-10")
        scene.write(seq, canonical(entry))
        scene.fix_leaves(seq)
        scene.fix_tile(seq)


@tampering("an entry is deleted")
def _(scene: Scene) -> int:
    seq = scene.seq()
    assert scene.do("DELETE FROM ledger.entry WHERE seq = %s", seq) == 1
    return seq


@tampering("entries in the middle are deleted")
def _(scene: Scene) -> int:
    seq = scene.dice.randrange(scene.attacked.size - 20)
    scene.do("DELETE FROM ledger.entry WHERE seq BETWEEN %s AND %s", seq, seq + scene.dice.randint(1, 19))
    return seq


@tampering("two entries change places")
def _(scene: Scene) -> int:
    first, second = sorted(scene.dice.sample(range(scene.attacked.size), 2))
    one, other = scene.content(first), scene.content(second)
    scene.write(first, other)
    scene.write(second, one)
    return first


@tampering("an entry is inserted, and the later ones move up")
def _(scene: Scene) -> int:
    seq = scene.seq()
    later = scene.all("SELECT seq, canonical FROM ledger.entry WHERE seq >= %s ORDER BY seq", seq)
    scene.do("DELETE FROM ledger.entry WHERE seq >= %s", seq)
    contents = [an_act({"asked": "nothing"}), *(row[1] for row in later)]
    for place, content in enumerate(contents, seq):
        scene.do("INSERT INTO ledger.entry (seq, canonical) VALUES (%s, %s)", place, content)
    return seq


@tampering("an entry is doubled at the end")
def _(scene: Scene) -> int:
    size = scene.attacked.size
    scene.do("INSERT INTO ledger.entry (seq, canonical) VALUES (%s, %s)", size, scene.content(scene.seq()))
    return size


@tampering("the newest entries are deleted")
def _(scene: Scene) -> int:
    keep = scene.dice.randrange(1, scene.attacked.size)
    scene.do("DELETE FROM ledger.entry WHERE seq >= %s", keep)
    return keep


@tampering("the newest entries go, with everything that tells of them")
def _(scene: Scene) -> int:
    return scene.cut(scene.dice.choice(scene.attacked.sizes[:-1]))


@tampering("a tail is cut off and another history written, with the log's own keys")
def _(scene: Scene) -> None:
    scene.cut(scene.dice.choice([size for size in scene.attacked.sizes if size < scene.attacked.published[-1]]))
    scene.append([an_act({"asked": number}) for number in range(scene.dice.randint(1, 400))], signers(scene))


@tampering("entries are appended with a stranger's checkpoint")
def _(scene: Scene) -> None:
    scene.append([an_act({"asked": "nothing"})], [STRANGER])


@tampering("the log is said to go over to a stranger's key, under that key")
def _(scene: Scene) -> None:
    size = scene.attacked.size + 1
    said = {"old": str(NEXT.verifier_key), "key": str(STRANGER.verifier_key), "from": size, "until_old": size + 5}
    scene.append([an_act(said, "ledger.rotated.v1")], [STRANGER])


# Checkpoints and tiles


def note_of(scene: Scene, size: int) -> str:
    return str(scene.all("SELECT note FROM ledger.checkpoint WHERE size = %s", size)[0][0])


def set_note(scene: Scene, size: int, note: str) -> None:
    assert scene.do("UPDATE ledger.checkpoint SET note = %s WHERE size = %s AND note <> %s", note, size, note) == 1


@tampering("a checkpoint is signed by another key")
def _(scene: Scene) -> None:
    size = scene.dice.choice(scene.attacked.sizes)
    set_note(scene, size, sign_note(parse_note(note_of(scene, size).encode()).text, [STRANGER]))


@tampering("all checkpoints are signed by another key")
def _(scene: Scene) -> None:
    for size in scene.attacked.sizes:
        set_note(scene, size, sign_note(parse_note(note_of(scene, size).encode()).text, [STRANGER]))


@tampering("a checkpoint is signed by the log's key of before the rotation")
def _(scene: Scene) -> None:
    size = scene.dice.choice([size for size in scene.attacked.sizes if size >= scene.attacked.until])
    set_note(scene, size, sign_note(parse_note(note_of(scene, size).encode()).text, [scene.attacked.first_key]))


@tampering("a checkpoint is signed by the log's key of after the rotation")
def _(scene: Scene) -> None:
    size = scene.dice.choice(scene.attacked.sizes[:4])
    set_note(scene, size, sign_note(parse_note(note_of(scene, size).encode()).text, [NEXT]))


@tampering("a stranger's signature is added to a checkpoint")
def _(scene: Scene) -> None:
    size = scene.dice.choice(scene.attacked.sizes)
    note = parse_note(note_of(scene, size).encode())
    set_note(scene, size, sign_note(note.text, [STRANGER], existing=note.signatures))


@tampering("a byte of a checkpoint is flipped")
def _(scene: Scene) -> None:
    size = scene.dice.choice(scene.attacked.sizes)
    note = note_of(scene, size)
    at = scene.dice.randrange(len(note))
    set_note(scene, size, note[:at] + ("A" if note[at] != "A" else "B") + note[at + 1 :])


@tampering("a checkpoint takes another one's place")
def _(scene: Scene) -> None:
    one, other = scene.dice.sample(scene.attacked.sizes, 2)
    set_note(scene, one, note_of(scene, other))


@tampering("leaf hashes of a checkpoint are edited")
def _(scene: Scene) -> None:
    size = scene.dice.choice(scene.attacked.sizes)
    scene.do("UPDATE ledger.checkpoint SET leaves = overlay(leaves PLACING sha256('x') FROM 1) WHERE size = %s", size)


@tampering("a checkpoint is deleted")
def _(scene: Scene) -> None:
    size = scene.dice.choice([size for size in scene.attacked.sizes if size not in scene.attacked.published])
    assert scene.do("DELETE FROM ledger.checkpoint WHERE size = %s", size) == 1


@tampering("a tile is edited")
def _(scene: Scene) -> None:
    n, at = scene.one("SELECT n, %s FROM ledger.tile WHERE level = 0", 1 + 32 * scene.dice.randrange(256))
    scene.do("UPDATE ledger.tile SET hashes = overlay(hashes PLACING sha256('x') FROM %s) WHERE n = %s", at, n)


@tampering("a tile is deleted")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM ledger.tile WHERE n = %s", scene.one("SELECT n FROM ledger.tile")[0])


@tampering("a tile is added")
def _(scene: Scene) -> None:
    place = scene.dice.choice([(0, 3), (0, 900), (1, 0), (2, 0)])
    scene.do("INSERT INTO ledger.tile SELECT %s, %s, hashes FROM ledger.tile LIMIT 1", *place)


# Published checkpoints


def published(scene: Scene) -> tuple[int, str]:
    """Return size and note of any published checkpoint."""
    return scene.one("SELECT size, note FROM ledger.published_checkpoint")


def set_published(scene: Scene, size: int, note: str) -> None:
    query = "UPDATE ledger.published_checkpoint SET note = %s WHERE size = %s AND note <> %s"
    assert scene.do(query, note, size, note) == 1


@tampering("a witness's cosignature is taken away")
def _(scene: Scene) -> None:
    size, content = published(scene)
    note = parse_note(content.encode())
    set_published(scene, size, sign_note(note.text, [], existing=note.signatures[:-1]))


@tampering("a witness's cosignature is that of another checkpoint")
def _(scene: Scene) -> None:
    (size, content), (_, other) = scene.dice.sample(
        scene.all("SELECT size, note FROM ledger.published_checkpoint ORDER BY size"), 2
    )
    lines: Sequence[SignatureLine] = parse_note(other.encode()).signatures[-1:]
    note = parse_note(content.encode())
    set_published(scene, size, sign_note(note.text, [], existing=(*note.signatures[:-1], *lines)))


@tampering("a published checkpoint is another one")
def _(scene: Scene) -> None:
    (size, _), (_, other) = scene.dice.sample(
        scene.all("SELECT size, note FROM ledger.published_checkpoint ORDER BY size"), 2
    )
    set_published(scene, size, other)


@tampering("a published checkpoint is deleted")
def _(scene: Scene) -> None:
    size, _ = published(scene)
    assert scene.do("DELETE FROM ledger.published_checkpoint WHERE size = %s", size) == 1


@tampering("a checkpoint is published that no witness has seen")
def _(scene: Scene) -> None:
    size = scene.dice.choice([size for size in scene.attacked.sizes if size not in scene.attacked.published])
    query = "INSERT INTO ledger.published_checkpoint SELECT size, note, 0 FROM ledger.checkpoint WHERE size = %s"
    assert scene.do(query, size) == 1
    scene.do("INSERT INTO ledger.outbox VALUES ('checkpoint', %s)", size)


@tampering("a published checkpoint passes over a task that was open")
def _(scene: Scene) -> None:
    query = "UPDATE ledger.published_checkpoint SET open_from = size WHERE open_from < size AND size = %s"
    sizes = scene.all("SELECT size FROM ledger.published_checkpoint WHERE open_from < size")
    assert scene.do(query, *scene.dice.choice(sizes)) == 1
