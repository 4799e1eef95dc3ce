"""The journal of a mirror: its newest entries in one file that only grows, so that a batch costs one write and one fsync.

A header names the first entry; then, for each, its length (uint32), a CRC-32 of its bytes, and the bytes. What a crash has torn off
ends the journal. When enough bundles of 256 are full they become files of their own, and a new journal with the rest takes its place.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.tiles_on_disk import write_all, write_whole

_HEADER = struct.Struct(">8sQ")
_RECORD = struct.Struct(">II")
_MAGIC = b"tpjrnl1\n"


@dataclass(slots=True, kw_only=True)
class Journal:
    """An open journal. `end` is the length of what is known to be on disk."""

    path: Path
    descriptor: int
    first: int
    entries: list[bytes]
    end: int

    @staticmethod
    def begin(path: Path) -> None:
        """Make an empty journal."""
        write_all([(path, _HEADER.pack(_MAGIC, 0))])

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Open a journal; what is torn at its end is cut off. Raises Corrupted and OSError."""
        content = path.read_bytes()
        if len(content) < _HEADER.size or not content.startswith(_MAGIC):
            raise Corrupted(f"{path.name} of the mirror is no journal")
        entries, end = _whole(content)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        if end < len(content):
            os.ftruncate(descriptor, end)
            os.fsync(descriptor)
        return cls(path=path, descriptor=descriptor, first=_HEADER.unpack_from(content)[1], entries=entries, end=end)

    @property
    def next_seq(self) -> int:
        """The seq after the newest entry."""
        return self.first + len(self.entries)

    def append(self, entries: Sequence[bytes]) -> None:
        """Append entries durably; raises OSError, and then the journal must be opened anew."""
        content = _records(entries)
        write_whole(self.descriptor, content)
        os.fdatasync(self.descriptor)
        self.end += len(content)
        self.entries += entries

    def begin_at(self, first: int) -> None:
        """Forget entries before `first`, which are durable elsewhere; raises OSError as `append` does."""
        rest = self.entries[first - self.first :]
        content = _HEADER.pack(_MAGIC, first) + _records(rest)
        write_all([(self.path, content)])
        os.close(self.descriptor)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
        self.first, self.entries, self.end = first, rest, len(content)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _records(entries: Sequence[bytes]) -> bytes:
    return b"".join(part for entry in entries for part in (_RECORD.pack(len(entry), zlib.crc32(entry)), entry))


def _whole(content: bytes) -> tuple[list[bytes], int]:
    """Return the entries before the first that is not whole, and where it begins."""
    entries, at = [], _HEADER.size
    while at + _RECORD.size <= len(content):
        length, checksum = _RECORD.unpack_from(content, at)
        start = at + _RECORD.size
        entry = content[start : start + length]
        if not entry or len(entry) < length or zlib.crc32(entry) != checksum:
            break
        entries.append(entry)
        at = start + length
    return entries, at
