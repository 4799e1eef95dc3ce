"""Why a snapshot is not built, or not believed."""


class CuratorError(Exception):
    """The base of what the curator refuses."""

    def diagnosis(self) -> str:
        """Return one line for people."""
        return str(self)


class FileRefused(CuratorError):
    """A file of records or items that cannot be read."""


class RecordRefused(CuratorError):
    """A line that is no record: which line, which field, what helps."""

    def __init__(self, line: int, field: str, because: str, mend: str) -> None:
        super().__init__(f"line {line}: {field}: {because}; {mend}")
        self.line, self.field = line, field


class SnapshotDamaged(CuratorError):
    """A snapshot whose bytes are not those of its uid; `record` is the first bad one, from 0, where there is one."""

    def __init__(self, where: str, because: str, record: int | None = None) -> None:
        at = "" if record is None else f" record {record}:"
        super().__init__(f"{where}:{at} {because}; fetch the snapshot again")
        self.record = record


class SealedSetRefused(CuratorError):
    """A file of hashed n-grams that cannot be used."""


class BuildRefused(CuratorError):
    """A build that would not be a whole snapshot: the disk, the folder, the limits."""


class Contaminated(CuratorError):
    """Records that hold what a sealed examination asks: the build fails, with their ids."""

    def __init__(self, sealed: str, found: tuple[tuple[str, str, str], ...]) -> None:
        shown = ", ".join(f"{record} (like {item}, by {form})" for record, item, form in found[:10])
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""  # noqa: PLR2004 - ten are shown
        super().__init__(
            f"{len(found)} records overlap the sealed set {sealed}: {shown}{more}; take them out and build again"
        )
        self.sealed, self.found = sealed, found
