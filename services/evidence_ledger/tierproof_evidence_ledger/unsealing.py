"""That every stored text is the one that the log commits to: each is opened, and nothing of it kept.

Needs the key file of texts, and so what a sequencer may read; an auditor alone sees how many texts there are, and whether each has a key.
"""

import uuid
from typing import Any

import psycopg

from tierproof_evidence_ledger.errors import TextUnreadable
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.sealed import SealedText, TenantKey, Vault, WrappedKey

CHUNK = 1000
_KEYS = "SELECT key_id, tenant, wrapped FROM ledger.text_key"
_TEXTS = "SELECT commitment, tenant, task_id, key_id, nonce, ciphertext FROM ledger.sealed_text"
Rows = psycopg.Connection[Any]


def open_texts(dsn: str, vault: Vault, report: Report) -> None:
    """Open each text that has a key; `dsn` is that of ledger_writer. Raises psycopg.OperationalError."""
    with psycopg.connect(dsn) as rows:
        rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        open_rows(rows, vault, report)


def open_rows(rows: Rows, vault: Vault, report: Report) -> None:
    """Open each text as the open transaction of a connection sees it; see `open_texts`."""
    report.opened = 0
    keys = _unwrapped(rows, vault, report)
    with rows.cursor("texts", binary=True) as cursor:
        cursor.execute(_TEXTS)
        while chunk := cursor.fetchmany(CHUNK):
            for row in chunk:
                _open(SealedText(**dict(zip(SealedText.__slots__, row, strict=True))), keys, report)


def _unwrapped(rows: Rows, vault: Vault, report: Report) -> dict[uuid.UUID, TenantKey]:
    keys = {}
    for key_id, tenant, wrapped in rows.execute(_KEYS, binary=True):
        try:
            keys[key_id] = vault.tenant_key(WrappedKey(key_id=key_id, tenant=tenant, wrapped=wrapped))
        except TextUnreadable as error:
            report.add(None, error.diagnosis())
    return keys


def _open(text: SealedText, keys: dict[uuid.UUID, TenantKey], report: Report) -> None:
    key = keys.get(text.key_id)
    if key is None:  # erased, which is for others to judge
        return
    try:
        key.open(text)
    except TextUnreadable as error:
        report.add(None, error.diagnosis())
    else:
        report.opened = (report.opened or 0) + 1
