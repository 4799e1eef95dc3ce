"""Where everything of one embedded stack lies. One folder holds all of it and may be deleted while nothing runs.

```
state.json   ports, chosen once        keys/      private keys, 0600      nats/      broker's configuration and store
postgres/    database cluster          models/    prepared base model     logs/      one file per process, rotated by size
tsa/         last time that was stamped        witness/ what the witness has cosigned; the ledger's policy
run/         process ids               documents/ signed documents        trust.json what a client needs to verify results
mirror/      the ledger's second copy, as static tiles
training/    records in, examinations, snapshots, trainings; only of a stack that trains
```
"""

from dataclasses import dataclass
from pathlib import Path

PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one state folder. `home` is absolute; use `at` to make one from any path."""

    home: Path

    @classmethod
    def at(cls, home: Path) -> "Layout":
        """Return the layout of a folder that need not exist yet."""
        return cls(home.absolute())

    @property
    def state(self) -> Path:
        """Ports and what was done once."""
        return self.home / "state.json"

    @property
    def keys(self) -> Path:
        """Private keys and passwords, readable by the owner alone."""
        return self.home / "keys"

    @property
    def nats(self) -> Path:
        """Configuration and JetStream store of the broker."""
        return self.home / "nats"

    @property
    def postgres(self) -> Path:
        """Database cluster."""
        return self.home / "postgres"

    @property
    def mirror(self) -> Path:
        """The ledger's second copy; on another volume where there is one: make it a link."""
        return self.home / "mirror"

    @property
    def models(self) -> Path:
        """Prepared base model and the model server's repository."""
        return self.home / "models"

    @property
    def witness(self) -> Path:
        """What the witness remembers, and who it and the ledger are to each other."""
        return self.home / "witness"

    @property
    def tsa(self) -> Path:
        """What the time-stamp authority remembers."""
        return self.home / "tsa"

    @property
    def training(self) -> Path:
        """Inbox of records, sealed examinations, snapshots, trainings."""
        return self.home / "training"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process ids, and what lives only as long as a run."""
        return self.home / "run"

    @property
    def documents(self) -> Path:
        """Documents as signed at the first start, by digest."""
        return self.home / "documents"

    @property
    def trust(self) -> Path:
        """Public keys that verify this stack's evidence."""
        return self.home / "trust.json"

    @property
    def supervisor_pid(self) -> Path:
        """Process id and start time of the supervisor that owns the folder."""
        return self.run / "supervisor.pid"

    @property
    def status(self) -> Path:
        """What the supervisor last saw of each part; absent when nothing runs."""
        return self.run / "status.json"

    def log_of(self, part: str) -> Path:
        """Return the log of one part."""
        return self.logs / f"{part}.log"

    def pid_of(self, part: str) -> Path:
        """Return the file that names the process of one part."""
        return self.run / f"{part}.pid"

    def prepare(self) -> None:
        """Create the folders that must exist before anything starts; private ones with mode 0700."""
        for folder in (self.home, self.keys, self.nats, self.models, self.logs, self.run, self.documents, self.witness):
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
