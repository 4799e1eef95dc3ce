"""The log's keys through its rotations, as a reader follows them who knows the first one: each act under a key believed before."""

from collections.abc import Sequence
from typing import Any

import orjson
import psycopg
from psycopg.rows import dict_row
from tierproof_proofs.errors import ProofError
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import inclusion_proof, leaf_hash, verify_inclusion
from tierproof_proofs.note import ED25519, parse_vkey

from tierproof_evidence_ledger.acts import ROTATED
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.pens import rotated
from tierproof_evidence_ledger.proof import Tree
from tierproof_evidence_ledger.tree import node_reader

_ACTS = "SELECT seq, canonical FROM ledger.v_entry WHERE kind = 'act' AND event_type = %s ORDER BY seq"
_FIRST_OVER = "SELECT size, note FROM ledger.v_checkpoint WHERE size > %s ORDER BY size LIMIT 1"


def followed(dsn: str, keys: Sequence[LogKey]) -> tuple[LogKey, ...]:
    """Return a log's keys after every rotation in the log, with the sizes for which each signs. `dsn` is that of ledger_auditor.

    An act counts when it lies under a checkpoint that a key known before has signed. Raises Corrupted for one that does not,
    and psycopg.Error.
    """
    signing = [each for each in keys if each.key.algorithm == ED25519]
    others = [each for each in keys if each.key.algorithm != ED25519]
    with psycopg.connect(dsn, row_factory=dict_row) as rows:
        rows.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for row in rows.execute(_ACTS, [ROTATED]).fetchall():
            said = orjson.loads(bytes(row["canonical"]))["event"]["data"]
            if parse_vkey(said["key"]) in [each.key for each in signing]:
                continue
            if parse_vkey(said["old"]) != signing[-1].key:
                raise Corrupted(
                    f"entry {row['seq']} rotates a key that is not the one known to sign then: {said['old']}"
                )
            _prove(rows, row["seq"], bytes(row["canonical"]), signing)
            signing = rotated(signing, said)
    return (*signing, *others)


def _prove(rows: psycopg.Connection[dict[str, Any]], seq: int, content: bytes, keys: Sequence[LogKey]) -> None:
    covering = rows.execute(_FIRST_OVER, [seq]).fetchone()
    if covering is None:
        raise Corrupted(f"no checkpoint covers the rotation in entry {seq}: run `verify`")
    try:
        checkpoint = open_checkpoint(covering["note"].encode(), keys)
        reader = node_reader(Tree().reader(rows, checkpoint.size).hashes_at)
        hashes = inclusion_proof(seq, checkpoint.size, reader)
        verify_inclusion(seq, checkpoint.size, leaf_hash(content), hashes, checkpoint.root)
    except ProofError as error:
        raise Corrupted(f"the rotation in entry {seq} is not proven: {error.diagnosis()}; run `verify`") from None
