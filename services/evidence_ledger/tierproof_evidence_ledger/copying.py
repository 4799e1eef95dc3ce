"""Rows as PostgreSQL's binary COPY reads them (PostgreSQL documentation, COPY, file formats), built at once for a whole batch."""

import struct
import uuid
from collections.abc import Iterable, Sequence

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_ENTRY = struct.Struct(">hiqi")  # two columns: eight bytes of seq, then the length of the bytes
_KEY = struct.Struct(">hihiqiqi")
_NULL = struct.pack(">i", -1)
_UUID_SIZE = struct.pack(">i", 16)
KEY_COLUMNS, ENTRY_COLUMNS = 5, 2


def entry_rows(first_seq: int, entries: Sequence[bytes]) -> bytes:
    """Return rows (seq int8, canonical bytea)."""
    pack = _ENTRY.pack
    parts = [_HEADER]
    for seq, content in enumerate(entries, first_seq):
        parts += (pack(ENTRY_COLUMNS, 8, seq, len(content)), content)
    parts.append(_TRAILER)
    return b"".join(parts)


def key_rows(keys: Iterable[tuple[int, int, int, str, str | None]]) -> bytes:
    """Return rows (stream_id int2, stream_seq int8, seq int8, disposition text, event_id uuid or null)."""
    pack, parts = _KEY.pack, [_HEADER]
    for stream_id, stream_seq, seq, disposition, event_id in keys:
        words = disposition.encode()
        parts += (pack(KEY_COLUMNS, 2, stream_id, 8, stream_seq, 8, seq, len(words)), words)
        parts += (_NULL,) if event_id is None else (_UUID_SIZE, uuid.UUID(event_id).bytes)
    parts.append(_TRAILER)
    return b"".join(parts)
