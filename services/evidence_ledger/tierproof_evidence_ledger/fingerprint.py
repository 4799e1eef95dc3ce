"""What the schema is made of, part by part: recorded at each migration, and compared by every deep verification."""

from hashlib import sha256
from typing import Any

from psycopg import Connection

SHOWN = 16  # hex digits of a part's digest: enough to tell that it changed, short enough for one entry


def parts_of(rows: Connection[Any]) -> dict[str, str]:
    """Return each part of the schema `ledger` (column, trigger, function, view, rights, event trigger) with its digest."""
    found = rows.execute("SELECT part, definition FROM ledger.v_schema").fetchall()
    return {part: sha256(definition.encode()).hexdigest()[:SHOWN] for part, definition in found}
