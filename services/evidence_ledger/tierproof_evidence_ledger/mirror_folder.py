"""The folder of a mirror: whose it is, who holds it, and what its file system's errors mean."""

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tierproof_proofs.merkle import HASH_SIZE

from tierproof_evidence_ledger.errors import Corrupted, LedgerError
from tierproof_evidence_ledger.journal import Journal
from tierproof_evidence_ledger.tiles_on_disk import UNFINISHED, tile_path, write_all
from tierproof_evidence_ledger.tree import TILE_WIDTH

ORIGIN, JOURNAL, CHECKPOINT = ".origin", ".journal", "checkpoint"
AT_FIRST = {"lost+found", JOURNAL}  # what a new volume holds, and what a crash may have begun with


class MirrorDiverged(Corrupted):
    """The mirror and the ledger say different things of the same log; neither may be written before a person has looked."""


class MirrorUnusable(LedgerError, OSError):
    """The folder cannot be written now: a full disk, a lost volume, rights, or another process that holds it."""


@dataclass(frozen=True, slots=True)
class said_clearly:  # noqa: N801 - read as a phrase
    """Say what a file system's error means for the mirror."""

    folder: Path

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            name = Path(str(error.filename)).name
            raise Corrupted(
                f"the mirror lacks {name}: give it back, or begin a new mirror in an empty folder"
            ) from error
        if isinstance(error, OSError) and not isinstance(error, LedgerError):
            raise MirrorUnusable(f"the mirror in {self.folder.name} cannot be used: {error.strerror}") from error


def held(folder: Path, origin: str) -> int:
    """Hold the folder, which must be this log's or empty, and return what holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    with ExitStack() as undo:
        undo.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MirrorUnusable("another process holds the mirror") from None
        _begun(folder, origin)
        undo.pop_all()
    return descriptor


def _begun(folder: Path, origin: str) -> None:
    """Begin a mirror in an empty folder; raises Corrupted when the folder is something else."""
    name = folder / ORIGIN
    if not name.exists():
        if any(path.name not in AT_FIRST and not path.name.endswith(UNFINISHED) for path in folder.iterdir()):
            raise Corrupted(f"{folder.name} is not empty and no mirror: name an empty folder")
        Journal.begin(folder / JOURNAL)
        write_all([(name, f"{origin}\n".encode())])
    found = name.read_text().rstrip("\n")
    if found != origin:
        raise Corrupted(f"{folder.name} is the mirror of {found}, not of {origin}")


def copied(folder: Path, to: Path) -> None:
    """Copy a mirror, also one that is being written: checkpoint and journal before the tiles, which only come to be. Raises OSError.

    What a partial tile says lies in the journal as well.
    """
    to.mkdir(parents=True)
    for name in (ORIGIN, CHECKPOINT, JOURNAL):
        if (folder / name).exists():
            shutil.copyfile(folder / name, to / name)
    if (folder / "tile").exists():
        shutil.copytree(folder / "tile", to / "tile", ignore=shutil.ignore_patterns("*.p", f"*{UNFINISHED}"))


def tile_reader(folder: Path) -> Callable[[int, int], bytes]:
    """Return a reader of full tiles by level and number, which raises Corrupted for one that is not whole."""

    def tile(level: int, n: int) -> bytes:
        content = (folder / tile_path(level, n)).read_bytes()
        if len(content) != TILE_WIDTH * HASH_SIZE:
            raise Corrupted(f"{tile_path(level, n)} of the mirror is not whole")
        return content

    return tile
