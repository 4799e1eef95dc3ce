"""A copy of a pack in the hands of a forger, who makes the manifest's digests fit: nobody has signed them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof import pack
from tierproof_proofs.merkle import leaf_hash, root_of


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a pack, to be touched."""

    folder: Path

    def lines(self, name: str = "entries.jsonl") -> list[bytes]:
        return (self.folder / name).read_bytes().splitlines(keepends=True)

    def keep(self, lines: list[bytes], name: str = "entries.jsonl") -> None:
        (self.folder / name).write_bytes(b"".join(lines))

    def entries(self) -> list[bytes]:
        return [line[line.index(b'"entry":') + 8 : -2] for line in self.lines()]

    def notes(self) -> dict[int, str]:
        said = map(json.loads, self.lines("checkpoints.jsonl"))
        return {each["size"]: each["note"] for each in said}

    def keep_notes(self, notes: dict[int, str]) -> None:
        lines = [
            json.dumps({"size": size, "note": note}, ensure_ascii=False).encode() + b"\n"
            for size, note in notes.items()
        ]
        self.keep(lines, "checkpoints.jsonl")
        (self.folder / "checkpoint").write_text(notes[max(notes)])

    def sound_until(self, index: int) -> int:
        """Return the size of the last checkpoint before an index: up to there everything is signed."""
        return max((size for size in self.notes() if size <= index), default=0)

    def of_type(self, event_type: str, which: int = 0) -> int:
        """Return where an event of a type stands."""
        return [at for at, each in enumerate(self.entries()) if f'"type":"{event_type}"'.encode() in each][which]

    def manifest(self, **members: Any) -> None:
        """Change what the manifest says, and make its digests fit."""
        path = self.folder / "manifest.json"
        names = (each.relative_to(self.folder).as_posix() for each in self.folder.rglob("*") if each.is_file())
        files = {
            name: f"sha256:{hashlib.sha256((self.folder / name).read_bytes()).hexdigest()}"
            for name in sorted(names)
            if name != "manifest.json" and not name.startswith(("tile/", "proofs/"))
        }
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | {"files": files} | members))

    def made_of(self, entries: list[bytes]) -> None:
        """Write entries, table, bundles and tiles anew, and let the manifest say so: all but what others have signed."""
        shutil.rmtree(self.folder / "tile")
        written = pack.EntryFiles(self.folder, bundles=True)
        for index, entry in enumerate(entries):
            written.add(index, entry)
        written.close()
        tiles, hashes = pack.TileFiles(folder=self.folder, size=len(entries)), [*map(leaf_hash, entries)]
        for level, n in tiles.places():
            wide = 1 << 8 * level
            row = [root_of(hashes[at : at + wide]) for at in range(0, len(hashes) // wide * wide, wide)]
            tiles.add(level, n, b"".join(row[n * 256 : n * 256 + 256]))
        self.manifest(size=len(entries), entries=len(entries), root=root_of(hashes).hex())


Edit = Callable[[Copy], int | None]
