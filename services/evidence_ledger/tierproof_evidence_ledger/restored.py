"""What a restore found and did, in numbers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tierproof_evidence_ledger.acts import RESTORED, Act
from tierproof_evidence_ledger.findings import Fault

Tell = Callable[[str, float], None]  # a step that is done, and its seconds
NAMED = 500  # texts or subjects that one act names: an entry has its limit


@dataclass(slots=True, kw_only=True)
class Restored:
    """Sizes are in entries. `replayed` counts messages from the streams, `appended` the entries that came of them.

    `texts_missing` are commitments of texts that are nowhere; `taken` subjects that hold another event than the outbox's.
    """

    tell: Tell | None = None
    rehearsal: bool = False
    from_size: int = 0
    mirror_size: int = 0
    mirrored: int = 0
    replayed: int = 0
    appended: int = 0
    already_published: int = 0
    texts_again: int = 0
    size: int = 0
    root: bytes = b""
    texts_missing: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step, and tell when it is done."""
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        if self.tell is not None:
            self.tell(name, self.seconds[name])

    def summary(self) -> dict[str, Any]:
        """Return what the first act says."""
        counts = {
            name: getattr(self, name)
            for name in (
                "from_size",
                "mirror_size",
                "mirrored",
                "replayed",
                "appended",
                "already_published",
                "texts_again",
            )
        }
        return (
            counts
            | {
                "rpo_entries": 0,  # nobody outside knew more than was put back: else there would be no restore to tell of
                "texts_missing": len(self.texts_missing),
                "taken": self.taken[:NAMED],
                "seconds_milli": round(1000 * sum(self.seconds.values())),
            }
        )

    def acts(self, actor: str) -> list[Act]:
        """Return the acts that tell of the restore: the numbers, and by name each text that is lost."""
        told = [self.texts_missing[at : at + NAMED] for at in range(0, len(self.texts_missing), NAMED)]
        first = {"actor": actor, **self.summary()}
        return [
            Act(type=RESTORED, data=data) for data in (first, *({"actor": actor, "texts_lost": some} for some in told))
        ]

    def lines(self) -> list[str]:
        """Return what a person reads."""
        return [
            f"{self.from_size} entries were in the backup, {self.mirrored} came from the mirror, byte for byte",
            f"{self.replayed} messages were only in the streams; they became {self.appended} entries",
            f"{self.texts_again} texts were read again from the streams, {len(self.texts_missing)} are lost",
            f"{self.already_published} results and checkpoints were published before the disaster, and are not again",
            f"{self.size} entries now, root {self.root.hex()}",
            *(f"lost text: {commitment}" for commitment in self.texts_missing),
            *(f"another event lies on {subject}" for subject in self.taken),
            *(f"entry {fault.seq}: {fault.what}" for fault in self.faults),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        steps = {name: round(1000 * seconds) for name, seconds in self.seconds.items()}
        faults = [{"seq": fault.seq, "what": fault.what} for fault in self.faults]
        whole = {"size": self.size, "root": self.root.hex(), "texts_missing": self.texts_missing, "taken": self.taken}
        return self.summary() | whole | {"faults": faults, "steps_milli": steps}
