"""Snapshots of training records, as who builds them and who learns from them know them.

`<uid>/records.jsonl` with `manifest.json` and `statement.dsse.json`; the uid is the RFC 6962 root over the lines without their ends. The
statement is an in-toto Statement of the type PREDICATE; its subject SUBJECT is the uid, its predicate the manifest.
"""

from pathlib import Path

RECORDS, MANIFEST, STATEMENT = "records.jsonl", "manifest.json", "statement.dsse.json"
PREDICATE = "urn:tierproof:dataset:v1"
SUBJECT = "dataset"


def folder_of(uid: str, snapshots: Path) -> Path:
    """Return where a snapshot lies below the folder of snapshots; `uid` is `sha256:` and 64 hex digits."""
    return snapshots / uid.replace(":", "-")
