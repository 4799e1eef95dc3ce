"""A record: one line of canonical JSON, strict, with where it comes from and on what terms.

Each holds one of four things: `text`; `prompt` with `completion`; `prompt` with `chosen` and `rejected`; `text` with `labels`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.errors import ContractError

from tierproof_curator.errors import FileRefused, RecordRefused

Label = Literal["internal", "synthetic-verified", "public-permissive"]
LABELS: tuple[Label, ...] = ("internal", "synthetic-verified", "public-permissive")
_FORMS = ({"text"}, {"prompt", "completion"}, {"prompt", "chosen", "rejected"}, {"text", "labels"})
_CONTENT = frozenset().union(*_FORMS)
Licence = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$", max_length=100)
]


class Record(BaseModel):
    """What is learned from. An unknown member is refused: it might have mattered."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    kind: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    label: Label
    licence: Licence
    source: str = Field(min_length=1, max_length=500)
    text: str | None = None
    prompt: str | None = None
    completion: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    labels: dict[str, str] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "Record":
        given = {name for name in _CONTENT if getattr(self, name) is not None}
        if given not in _FORMS:
            raise ValueError(
                f"members {sorted(given)} are no form; give text, or prompt and completion, or prompt, chosen and rejected"
            )
        if any(isinstance(value := getattr(self, name), str) and not value.strip() for name in given):
            raise ValueError("an empty text teaches nothing; leave the record out")
        if self.chosen is not None and self.chosen.strip() == (self.rejected or "").strip():
            raise ValueError(
                "chosen equals rejected: a preference between the same answers is poison; leave the record out"
            )
        return self

    def line(self) -> bytes:
        """Return the record's canonical bytes, without the line's end: what the snapshot's tree is made of."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLimits:
    """How long a line may be, in bytes: a longer one is refused before it is in memory."""

    longest_line: int


def record_of(line: bytes, number: int) -> Record:
    """Return the record of a line. Raises RecordRefused, naming line, field and mend."""
    try:
        record = Record.model_validate(json.loads(line, object_pairs_hook=_once))
        record.line()
    except (UnicodeDecodeError, ValueError, RecursionError, ContractError) as error:
        raise _refused(error, number) from None
    return record


def lines_of(path: Path, limits: LineLimits) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers from 1; blank ones are left out.

    Raises FileRefused for what cannot be read, RecordRefused for a line that is too long.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileRefused(f"{path}: {error.strerror}; name a file that has one JSON object a line") from None
    with file:
        yield from _bounded(file, limits.longest_line)


def _bounded(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(longest + 2):
        number += 1
        content = line.rstrip(b"\r\n")
        if len(content) > longest:
            mend = "split it, or raise TIERPROOF_CURATOR_LONGEST_LINE"
            raise RecordRefused(number, "(line)", f"longer than {longest} bytes", mend)
        if content.strip():
            yield number, content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands there twice")
    return found


def _refused(error: Exception, number: int) -> RecordRefused:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(record)"
        said = first["msg"].removeprefix("Value error, ")
        return RecordRefused(number, field, said, "mend the record, or leave it out")
    return RecordRefused(number, "(line)", f"not a record ({error})"[:300], "write one JSON object a line")
