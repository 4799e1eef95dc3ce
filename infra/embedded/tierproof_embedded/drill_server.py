"""A scratch database server on a copy of a backup, for as long as a drill lasts."""

from pathlib import Path

from tierproof_embedded import ports
from tierproof_embedded import postgres as pg
from tierproof_embedded.errors import NotReadyInTime
from tierproof_embedded.process import Child, wait_until_ready
from tierproof_embedded.restoration import lay_down

SECONDS_TO_START = 60.0


class ScratchServer:
    """A server in a folder of its own, on a free port; nobody else knows of it."""

    def __init__(self, folder: Path, password: str) -> None:
        self._cluster = pg.Cluster(
            folder=folder / "cluster",
            port=ports.free_ports(1)[0],
            password=password,
            identity=pg.identity_here(),
            settings={"archive_mode": "off"},
        )
        command, log = pg.command(self._cluster), folder / "postgres.log"
        self._child = Child("scratch-postgres", command, log=log, pid_file=folder / "postgres.pid")

    def lay_down(self, base: Path) -> None:
        """Copy a base backup to where the server runs."""
        lay_down(base, self._cluster.folder)

    def start(self) -> None:
        """Start, and wait until it answers; raises NotReadyInTime or ExitedEarly."""
        self._child.start()
        if not wait_until_ready(self._child, lambda: pg.is_ready(self._cluster), SECONDS_TO_START):
            raise NotReadyInTime(parts=(self._child.name,), seconds=SECONDS_TO_START, logs=self._child.log)

    def stop(self) -> None:
        """Stop, and leave no process behind."""
        self._child.stop()

    def dsn(self, database: str) -> str:
        """Return the URL of a database as the superuser."""
        return self._cluster.dsn(database)
