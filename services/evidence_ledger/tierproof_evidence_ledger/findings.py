"""What a deep verification found."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

MOST_FAULTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it was recorded; `seq` is the entry at fault where one can be named."""

    seq: int | None
    what: str


@dataclass(slots=True, kw_only=True)
class Report:
    """What a verification found. `size` and `root` are those of the entries as they are now, `first_bad` is the lowest at fault.

    `published` are the checkpoints that witnesses saw, `gaps` the stream positions between two that were read, `opened` the texts that
    were decrypted, None where the key was not at hand. `attested` is what the log is to hold of this verification for later ones.
    """

    size: int = 0
    root: bytes = b""
    checkpoints: int = 0
    published: int = 0
    gaps: int = 0
    opened: int | None = None
    attested: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    first_bad: int | None = None

    def add(self, seq: int | None, what: str) -> None:
        """Note a fault; of very many, the first ones and the lowest entry."""
        if seq is not None and (self.first_bad is None or seq < self.first_bad):
            self.first_bad = seq
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(seq=seq, what=what))

    def summary(self) -> dict[str, Any]:
        """Return what an entry says of this verification: counts, root, the first bad entry, no list of faults."""
        bad: dict[str, Any] = {} if self.first_bad is None else {"first_bad": self.first_bad}
        bad |= {name: value for name, value in (("opened", self.opened), ("attested", self.attested)) if value}
        counts = {"entries": self.size, "checkpoints": self.checkpoints, "published": self.published, "gaps": self.gaps}
        return counts | {"root": self.root.hex(), "faults": len(self.faults)} | bad

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(asdict(self) | {"root": self.root.hex()})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        members = json.loads(text)
        faults = [Fault(**fault) for fault in members.pop("faults")]
        return cls(**members | {"root": bytes.fromhex(members["root"]), "faults": faults})
