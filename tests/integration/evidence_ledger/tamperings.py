"""What a superuser can do to the entries of the log.

Each tampering changes something at a random place and returns the first entry that is not as it was, None where no single one is.
They are as careful as somebody who knows the source: where leaf hashes, tiles or the schema can be made to fit, they are.
"""

import json

from tierproof_evidence_ledger.canonical import canonical
from tierproof_proofs.note import NoteSigner

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
