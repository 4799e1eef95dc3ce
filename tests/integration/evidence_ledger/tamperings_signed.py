"""What a superuser can do to what is signed: checkpoints with their tiles, published ones, time stamps, and who was in office."""

from collections.abc import Sequence

from tierproof_proofs.note import SignatureLine, parse_note, sign_note

from tests.integration.evidence_ledger.attack_scene import Scene, any_change, tampering
from tests.integration.evidence_ledger.campaign_ledger import NEXT, STRANGER

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


@tampering("a published checkpoint is gone, with everything that tells of it")
def _(scene: Scene) -> None:
    size = scene.dice.choice([size for size in scene.attacked.published if size <= scene.attacked.attested])
    scene.do("DELETE FROM ledger.time_stamp WHERE size = %s", size)
    scene.do("DELETE FROM ledger.outbox_published WHERE kind = 'checkpoint' AND ref = %s", size)
    assert scene.do("DELETE FROM ledger.outbox WHERE kind = 'checkpoint' AND ref = %s", size) == 1
    assert scene.do("DELETE FROM ledger.published_checkpoint WHERE size = %s", size) == 1


# Time stamps and terms


@tampering("a time stamp is edited")
def _(scene: Scene) -> None:
    size, reply = scene.one("SELECT size, reply FROM ledger.time_stamp ORDER BY size")
    at = scene.dice.randrange(len(reply))
    flipped = reply[:at] + bytes([reply[at] ^ (1 << scene.dice.randrange(8))]) + reply[at + 1 :]
    scene.do("UPDATE ledger.time_stamp SET reply = %s WHERE size = %s", flipped, size)


@tampering("a time stamp is another checkpoint's")
def _(scene: Scene) -> None:
    stamped = [size for (size,) in scene.all("SELECT size FROM ledger.time_stamp ORDER BY size")]
    size = scene.dice.choice(stamped)
    other = scene.dice.choice([each for each in scene.attacked.published if each not in stamped])
    assert scene.do("UPDATE ledger.time_stamp SET size = %s WHERE size = %s", other, size) == 1


any_change("a time stamp is gone", "time_stamp", "DELETE", "size = 0")
any_change(
    "a term is edited",
    "term",
    "DELETE",
    "holder = 'nobody'",
    "taken_at = taken_at - interval '1 day'",
    "term = term + 100",
    condition="term < (SELECT max(term) FROM ledger.term)",
)
