"""What a superuser can do where no entry lists the rows: texts and their keys, what came twice, what went out, migrations."""

from psycopg.types.json import Jsonb
from tierproof_evidence_ledger.fingerprint import parts_of

from tests.integration.evidence_ledger.attack_scene import Scene, any_change, tampering

# Texts and their keys

READABLE = "key_id IN (SELECT key_id FROM ledger.text_key)"


def flipped(scene: Scene, content: bytes) -> bytes:
    """Return bytes with one bit turned over."""
    at = scene.dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << scene.dice.randrange(8))]) + content[at + 1 :]


@tampering("a text is edited")
def _(scene: Scene) -> None:
    column = scene.dice.choice(["nonce", "ciphertext"])
    name, content = scene.one(f"SELECT commitment, {column} FROM ledger.sealed_text WHERE {READABLE}")  # noqa: S608
    query = f"UPDATE ledger.sealed_text SET {column} = %s WHERE commitment = %s"  # noqa: S608
    assert scene.do(query, flipped(scene, content), name) == 1


@tampering("a text is another one")
def _(scene: Scene) -> None:
    rows = scene.all(f"SELECT commitment, nonce, ciphertext FROM ledger.sealed_text WHERE {READABLE}")  # noqa: S608
    (name, *_), (_, nonce, ciphertext) = scene.dice.sample(rows, 2)
    query = "UPDATE ledger.sealed_text SET nonce = %s, ciphertext = %s WHERE commitment = %s"
    assert scene.do(query, nonce, ciphertext, name) == 1


any_change(
    "a text is said to be somebody else's",
    "sealed_text",
    "tenant = tenant || '-x'",
    "task_id = task_id || 'x'",
    "ciphertext = substr(ciphertext, 1, length(ciphertext) - 1)",
    condition=READABLE,
)
any_change(
    "an erased text is said to be somebody else's", "sealed_text", "tenant = 'acme'", condition=f"NOT {READABLE}"
)


@tampering("the key of texts is edited")
def _(scene: Scene) -> None:
    key_id, wrapped = scene.one("SELECT key_id, wrapped FROM ledger.text_key ORDER BY key_id")
    assert scene.do("UPDATE ledger.text_key SET wrapped = %s WHERE key_id = %s", flipped(scene, wrapped), key_id) == 1


any_change("the key of texts is another tenant's", "text_key", "tenant = tenant || '-x'")


@tampering("a key of texts is added that nobody can unwrap")
def _(scene: Scene) -> None:
    scene.do("INSERT INTO ledger.text_key SELECT gen_random_uuid(), 'acme', wrapped FROM ledger.text_key LIMIT 1")


# Messages that came twice, and what went out


@tampering("a message is said to be once more what it cannot be")
def _(scene: Scene) -> int:
    """Such a row keeps a message from being recorded: its place counts as read."""
    stream_id, place = scene.one("SELECT stream_id, max(stream_seq) + 1 FROM ledger.ingest_key GROUP BY stream_id")
    others = scene.all("SELECT seq FROM ledger.ingest_key WHERE stream_id <> %s AND event_id IS NOT NULL", stream_id)
    silent = scene.all("SELECT seq FROM ledger.entry WHERE (said).kind <> 'event'")
    (seq,) = scene.dice.choice(scene.dice.choice([others, silent]))
    scene.do("INSERT INTO ledger.ingest_key VALUES (%s, %s, %s, 'duplicate', NULL)", stream_id, place, seq)
    return int(seq)


any_change("what came twice came twice elsewhere", "ingest_key", "seq = 0", condition="disposition = 'duplicate'")


@tampering("something is said to have gone out that was never due")
def _(scene: Scene) -> None:
    kind, ref = scene.dice.choice([("release", scene.seq()), ("checkpoint", scene.attacked.size + 1)])
    scene.do("DELETE FROM ledger.outbox_published WHERE (kind, ref) = (%s, %s)", kind, ref)
    scene.do("DELETE FROM ledger.outbox WHERE (kind, ref) = (%s, %s)", kind, ref)
    scene.do("INSERT INTO ledger.outbox_published VALUES (%s, %s, 99999)", kind, ref)


# Migrations

CHANGES = (
    "GRANT DELETE ON ledger.entry TO ledger_writer",
    "ALTER TABLE ledger.entry DISABLE TRIGGER append_only",
    "ALTER TABLE ledger.outcome DROP CONSTRAINT outcome_seq_key",
)


@tampering("a change of the schema is explained by a migration")
def _(scene: Scene) -> None:
    scene.do(scene.dice.choice(CHANGES))
    named = scene.dice.choice([["0001_ledger.sql"], [], ["0666_more.sql"], None])
    said = {"actor": "postgres", "migrations": named, "parts": parts_of(scene.rows)}
    scene.do("INSERT INTO ledger.act (type, said) VALUES ('ledger.migrated.v1', %s)", Jsonb(said))


@tampering("a migration is told of that says nothing")
def _(scene: Scene) -> None:
    scene.do(scene.dice.choice(CHANGES))
    said = scene.dice.choice([{}, {"migrations": [], "parts": None}, {"parts": {}}])
    scene.do("INSERT INTO ledger.act (type, said) VALUES ('ledger.migrated.v1', %s)", Jsonb(said))
