"""An auditor's further questions: the history of one record, and the pages of an export."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from tierproof_contracts.questions import AsOf, Filtered, Index, Question, Shape

RECORDS = {
    "document": "document:routing-policy, document:fleet-manifest or document:reviewers",
    "task": "task:<task id>",
    "model": "model:sha256:<64 hex digits>",
    "texts": "texts:<tenant>",
    "log-key": "log-key",
}
_RECORD = re.compile(
    r"document:(routing-policy|fleet-manifest|reviewers)|task:[a-z0-9-]{1,32}_[0-9a-f]{32}"
    r"|model:sha256:[0-9a-f]{64}|texts:[a-z0-9-]{1,32}|log-key"
)


def _known_record(text: str) -> str:
    if _RECORD.fullmatch(text) is None:
        raise ValueError(f"no such record; name {', '.join(RECORDS.values())}")
    return text


Record = Annotated[str, Field(max_length=200), AfterValidator(_known_record)]
Size = Annotated[int, Field(ge=1, le=2**53 - 1)]


class HistoryAsked(Question):
    """Every change of one record, oldest first; `after` is the last index seen."""

    name: ClassVar[str] = "history"
    record: Record
    as_of: AsOf | None = None
    after: Index | None = None
    limit: int = Field(default=100, ge=1, le=500)


class Change(Shape):
    """A member of a document before and after; `member` is its path, names joined by dots. None where it was or is not there."""

    member: str
    old: Any = None
    new: Any = None


class HistoryRow(Shape):
    """One change: when it was said (UTC), by whom, the old and the new value, and why."""

    index: int
    time: str
    recorded_at: str
    who: str
    old: str | None = None
    new: str | None = None
    why: str | None = None
    type: str
    changes: tuple[Change, ...] = ()
    signed_by: tuple[str, ...] = Field(default=(), description="key ids that a document's signatures name, unverified")


class History(Shape):
    """A page of a record's history in the ledger when it had `size` entries."""

    record: str
    rows: tuple[HistoryRow, ...]
    size: int
    more: bool = False


class ExportPage(Question):
    """A page of an export. `export` is the entry under which the export was recorded, as its first answer says.

    A page that does not name it is recorded as an export of its own.
    """

    export: Index | None = None


class ExportEntriesAsked(Filtered, ExportPage):
    """Canonical entries that fit, oldest first. The first page fixes the size; later ones name it, and the last index seen."""

    name: ClassVar[str] = "export-entries"
    size: Size | None = None
    after: Index | None = None
    limit: int = Field(default=1000, ge=1, le=5000)


class RawEntry(Shape):
    """An entry's canonical bytes, which are UTF-8, as text."""

    index: int
    entry: str


class ExportedEntries(Shape):
    """A page of entries under the published checkpoint of `size` entries, whose note stands on the first page."""

    export: int
    size: int
    checkpoint: str | None = None
    entries: tuple[RawEntry, ...]
    more: bool


class ExportTilesAsked(ExportPage):
    """Hash tiles (c2sp.org/tlog-tiles) of the tree of `size` entries, from one on, level by level."""

    name: ClassVar[str] = "export-tiles"
    size: Size
    level: int = Field(default=0, ge=0, le=7)
    n: Index = 0


class HashTile(Shape):
    """One tile: `width` hashes, base64; 256 in a full one."""

    level: int
    n: int
    width: int
    hashes: str


class ExportedTiles(Shape):
    """A page of tiles, and where the next one begins."""

    export: int
    tiles: tuple[HashTile, ...]
    next_level: int | None = None
    next_n: int | None = None


class ExportCheckpointsAsked(ExportPage):
    """Published checkpoints up to `size`, smallest first; `after` is the last size seen."""

    name: ClassVar[str] = "export-checkpoints"
    size: Size
    after: Index = 0


class CheckpointNote(Shape):
    """A published checkpoint with all its signatures."""

    size: int
    note: str


class ExportedCheckpoints(Shape):
    """A page of checkpoints."""

    export: int
    checkpoints: tuple[CheckpointNote, ...]
    more: bool


class ExportStampsAsked(ExportPage):
    """RFC 3161 time stamps of checkpoints up to `size`; `after` is the last size seen."""

    name: ClassVar[str] = "export-stamps"
    size: Size
    after: Index = 0


class TimeStamp(Shape):
    """A DER TimeStampResp over the checkpoint's text, base64."""

    size: int
    reply: str


class ExportedStamps(Shape):
    """A page of time stamps."""

    export: int
    stamps: tuple[TimeStamp, ...]
    more: bool
