"""The leaf hash of every record beside the records, so that a changed byte is traced to its record and not to its neighbour.

`leaves.bin` holds 32 bytes per record. It needs no signature of its own: its RFC 6962 root is the snapshot's uid, or it is not believed.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tierproof_proofs.merkle import Frontier, leaf_hash

from tierproof_curator.errors import CuratorError, SnapshotDamaged
from tierproof_curator.records import record_of

LEAVES = "leaves.bin"
_SIZE = 32  # bytes of a SHA-256


def believed(path: Path, uid: str) -> bool:
    """Tell whether a file of leaf hashes stands there and gives this uid."""
    if not path.is_file() or path.stat().st_size % _SIZE:
        return False
    tree = Frontier()
    with path.open("rb", buffering=1 << 20) as file:
        for leaf in _each(file):
            tree.append(leaf)
    return f"sha256:{tree.root().hex()}" == uid


def hold_each(records: Path, leaves: Path, longest: int) -> None:
    """Hold each record against its own leaf hash. Raises SnapshotDamaged, naming the first bad, lost or surplus record."""
    number = -1
    with records.open("rb", buffering=1 << 20) as lines, leaves.open("rb", buffering=1 << 20) as known:
        expected = _each(known)
        for number, (line, whole) in enumerate(_lines(lines, longest)):
            if not whole or leaf_hash(line) != next(expected, None):
                raise SnapshotDamaged(str(records), "its bytes are not those that the uid names", number)
        if next(expected, None) is not None:
            raise SnapshotDamaged(str(records), "this record and all after it are lost", number + 1)


def hold_together(records: Path, uid: str, longest: int) -> None:
    """Hold all records against the uid where leaf hashes are lost.

    Raises SnapshotDamaged. Which record is bad follows from the order of digests alone: it is the one named or the one before it.
    """
    tree, before = Frontier(), b""
    with records.open("rb", buffering=1 << 20) as file:
        for number, (line, whole) in enumerate(_lines(file, longest)):
            digest = _order_of(line, number, records)
            if not whole or digest <= before:
                raise SnapshotDamaged(str(records), "it or the record before it does not belong here", number)
            before = digest
            tree.append(leaf_hash(line))
    found = f"sha256:{tree.root().hex()}"
    if found != uid:
        raise SnapshotDamaged(str(records), f"the records give {found}, the statement names {uid}")


def _order_of(line: bytes, number: int, records: Path) -> bytes:
    try:
        canonical = record_of(line, number + 1).line() == line
    except CuratorError as error:
        raise SnapshotDamaged(str(records), error.diagnosis(), number) from None
    if not canonical:
        raise SnapshotDamaged(str(records), "not in canonical form", number)
    return hashlib.sha256(line).digest()


def _each(file: BinaryIO) -> Iterator[bytes]:
    while leaf := file.read(_SIZE):
        yield leaf


def _lines(file: BinaryIO, longest: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each line without its end, and whether it had one within the longest that is read."""
    while raw := file.readline(longest + 1):
        yield raw.removesuffix(b"\n"), raw.endswith(b"\n")
