# ruff: noqa: S608 - tables are this file's own
"""What a superuser can reach in a ledger, and how tamperings are named."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from tierproof_evidence_ledger.canonical import canonical
from tierproof_evidence_ledger.columns import NAMES
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.merkle import Frontier, leaf_hash
from tierproof_proofs.note import NoteSigner, sign_note

from tests.integration.evidence_ledger.campaign_ledger import LOG, Attacked

HASH = 32
TILE = 256


@dataclass(slots=True, kw_only=True)
class Scene:
    """A transaction of a superuser in which no trigger fires, what is attacked, and dice."""

    rows: psycopg.Connection[Any]
    attacked: Attacked
    dice: random.Random

    def do(self, query: str, *values: Any) -> int:
        """Change something and return how many rows it was."""
        return self.rows.execute(query.encode(), values or None).rowcount

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows."""
        return self.rows.execute(query.encode(), values or None).fetchall()

    def one(self, query: str, *values: Any) -> tuple[Any, ...]:
        """Return a random one of the rows."""
        return self.dice.choice(self.all(query, *values))

    def seq(self) -> int:
        """Return any entry."""
        return self.dice.randrange(self.attacked.size)

    def entry(self, seq: int) -> dict[str, Any]:
        """Return what an entry says."""
        return dict(json.loads(self.content(seq)))

    def content(self, seq: int) -> bytes:
        """Return an entry's bytes."""
        return bytes(self.all("SELECT canonical FROM ledger.entry WHERE seq = %s", seq)[0][0])

    def write(self, seq: int, content: bytes) -> int:
        """Write an entry's bytes; its column follows by itself."""
        assert content != self.content(seq)
        assert self.do("UPDATE ledger.entry SET canonical = %s WHERE seq = %s", content, seq) == 1
        return seq

    def write_anything(self, seq: int, content: bytes) -> int:
        """Write bytes from which no column could follow: the function behind it looks away for a moment, the column stays."""
        assert content != self.content(seq)
        self.do("CREATE TEMP TABLE written AS SELECT %s AS canonical", content)
        self.lie(seq, "", "", "(SELECT canonical FROM written)")
        return seq

    def lie(self, seq: int, column: str, value: str, content: str = "canonical") -> None:
        """Write a value into an entry's generated column while the function behind it looks away."""
        said = self.all("SELECT pg_get_functiondef('ledger.said_in(bytea)'::regprocedure)")[0][0]
        row = ", ".join(value if name == column else f"(said).{name}" for name in NAMES)
        self.do(f"CREATE TEMP TABLE lie AS SELECT ROW({row})::ledger.said AS said FROM ledger.entry WHERE seq = {seq}")
        attributes = "IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql"
        lying = "SELECT said FROM lie"
        self.do(
            f"CREATE OR REPLACE FUNCTION ledger.said_in(canonical bytea) RETURNS ledger.said {attributes} AS $$ {lying} $$"
        )
        self.do(f"UPDATE ledger.entry SET canonical = {content} WHERE seq = {seq}")
        self.do(said)

    def replace(self, kind: str, name: str, old: str, new: str) -> None:
        """Replace a part of a function's or a view's definition."""
        if kind == "VIEW":
            text = self.all(f"SELECT pg_get_viewdef('ledger.{name}'::regclass)")[0][0]
            assert old in text
            self.do(f"CREATE OR REPLACE VIEW ledger.{name} AS {text.replace(old, new)}")
        else:
            text = self.all(f"SELECT pg_get_functiondef('ledger.{name}'::regprocedure)")[0][0]
            assert old in text
            self.do(text.replace(old, new))

    def fix_leaves(self, seq: int) -> None:
        """Make the checkpoint's leaf hash that of the entry as it is now."""
        size, leaves = self.all(
            "SELECT size, leaves FROM ledger.checkpoint WHERE size > %s ORDER BY size LIMIT 1", seq
        )[0]
        at = (seq - size) * HASH + len(leaves)
        new = leaves[:at] + leaf_hash(self.content(seq)) + leaves[at + HASH :]
        self.do("UPDATE ledger.checkpoint SET leaves = %s WHERE size = %s", new, size)

    def fix_tile(self, seq: int) -> None:
        """Make the tile's leaf hash that of the entry as it is now; nothing at the open right edge."""
        at, n = seq % TILE * HASH, seq // TILE
        new = "overlay(hashes PLACING %s FROM %s)"
        self.do(
            f"UPDATE ledger.tile SET hashes = {new} WHERE level = 0 AND n = %s", leaf_hash(self.content(seq)), at + 1, n
        )

    def sign_all(self, signer: Callable[[int], Sequence[NoteSigner]], since: int = 0) -> None:
        """Write the checkpoints above a size anew for the entries as they are, and sign them."""
        frontier = Frontier()
        sizes = [row[0] for row in self.all("SELECT size FROM ledger.checkpoint ORDER BY size")]
        for seq, (content,) in enumerate(self.all("SELECT canonical FROM ledger.entry ORDER BY seq")):
            frontier.append(leaf_hash(content))
            if seq + 1 in sizes and seq + 1 > since:
                note = sign_note(str(Checkpoint(origin=LOG, size=seq + 1, root=frontier.root())), signer(seq + 1))
                self.do("UPDATE ledger.checkpoint SET note = %s WHERE size = %s", note, seq + 1)

    def cut(self, keep: int) -> int:
        """Cut off everything after a size without a trace in the tables, and return the size."""
        published = self.all("SELECT size FROM ledger.published_checkpoint WHERE size > %s", keep)
        for table, column in (("entry", "seq"), ("ingest_key", "seq"), ("outcome", "seq"), ("act_recorded", "seq")):
            self.do(f"DELETE FROM ledger.{table} WHERE {column} >= %s", keep)
        for kind, first in (("release", keep), ("checkpoint", keep + 1)):
            self.do("DELETE FROM ledger.outbox WHERE kind = %s AND ref >= %s", kind, first)
        assert len(published) <= self.do("DELETE FROM ledger.published_checkpoint WHERE size > %s", keep)
        self.do("DELETE FROM ledger.checkpoint WHERE size > %s", keep)
        self.do("DELETE FROM ledger.tile WHERE level = 0 AND (n + 1) * 256 > %s", keep)
        return keep

    def append(self, contents: Sequence[bytes], signers: Sequence[NoteSigner]) -> int:
        """Append entries with a checkpoint of their own, and return the first one's place."""
        [(first,)] = self.all("SELECT max(seq) + 1 FROM ledger.entry")
        for seq, content in enumerate(contents, first):
            self.do("INSERT INTO ledger.entry (seq, canonical) VALUES (%s, %s)", seq, content)
        size, frontier = first + len(contents), Frontier()
        hashes = [leaf_hash(row[0]) for row in self.all("SELECT canonical FROM ledger.entry ORDER BY seq")]
        for leaf in hashes:
            frontier.append(leaf)
        for n in range(first // TILE, size // TILE):
            tile = b"".join(hashes[n * TILE : (n + 1) * TILE])
            self.do("INSERT INTO ledger.tile (level, n, hashes) VALUES (0, %s, %s)", n, tile)
        note = sign_note(str(Checkpoint(origin=LOG, size=size, root=frontier.root())), signers)
        leaves = b"".join(hashes[first:])
        self.do("INSERT INTO ledger.checkpoint (size, note, leaves) VALUES (%s, %s, %s)", size, note, leaves)
        return int(first)


Attack = Callable[[Scene], int | None]
TAMPERINGS: dict[str, Attack] = {}


def tampering(name: str) -> Callable[[Attack], Attack]:
    """Name a tampering."""

    def named(attack: Attack) -> Attack:
        TAMPERINGS[name] = attack
        return attack

    return named


def changed(scene: Scene, table: str, change: str, condition: str = "true") -> None:
    """Change any one row of a table."""
    scene.do(f"CREATE TEMP TABLE picked AS SELECT ctid AS place FROM ledger.{table} WHERE {condition}")
    [(count,)] = scene.all("SELECT count(*) FROM picked")
    verb = f"DELETE FROM ledger.{table}" if change == "DELETE" else f"UPDATE ledger.{table} SET {change}"
    picked = f"(SELECT place FROM picked ORDER BY place OFFSET {scene.dice.randrange(count)} LIMIT 1)"
    assert scene.do(f"{verb} WHERE ctid = {picked}") == 1


def any_change(name: str, table: str, *changes: str, condition: str = "true") -> None:
    """Name a tampering with any row of a table, by any of the changes."""
    tampering(name)(lambda scene: changed(scene, table, scene.dice.choice(changes), condition))


def edited(scene: Scene, seq: int) -> bytes:
    """Return an entry with one of its words changed, canonical and fit for every column."""
    entry = scene.entry(seq)
    words = [(part, key) for part in _parts(entry) for key, value in part.items() if isinstance(value, str) and value]
    part, key = scene.dice.choice([(part, key) for part, key in words if not key.endswith("_at") and key != "time"])
    at = scene.dice.randrange(len(part[key]))
    part[key] = part[key][:at] + ("x" if part[key][at] != "x" else "y") + part[key][at + 1 :]
    return canonical(entry)


def _parts(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [part for inner in value for part in _parts(inner)]
    return [value, *(part for inner in value.values() for part in _parts(inner))] if isinstance(value, dict) else []


def an_act(data: dict[str, Any], kind: str = "ledger.queried.v1") -> bytes:
    """Return the bytes of an entry as the ledger writes its acts, recorded late enough."""
    time = "2026-11-02T00:00:00.000000Z"
    event = {
        "id": "00000000-0000-4000-8000-000000000001",
        "type": kind,
        "source": "evidence-ledger",
        "subject": kind,
        "time": time,
        "data": {"actor": "evidence-ledger", **data},
    }
    return canonical({"entry": 1, "kind": "act", "recorded_at": time, "event": event})
