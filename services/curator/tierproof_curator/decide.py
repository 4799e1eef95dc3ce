"""What may become a record of a snapshot, and when a build fails. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from tierproof_curator.errors import RecordRefused
from tierproof_curator.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which labels and licences are taken; licences as SPDX expressions, word for word."""

    labels: Collection[str]
    licences: Collection[str]


def refuse(record: Record, number: int, rules: Rules) -> None:
    """Raise RecordRefused when the rules do not take a record: what is not named in them is not taken."""
    if record.label not in rules.labels:
        mend = f"the curation rules take {', '.join(sorted(rules.labels))}"
        raise RecordRefused(number, "label", f"{record.label!r} is not taken", mend)
    if record.licence not in rules.licences:
        mend = f"the curation rules take {', '.join(sorted(rules.licences))}"
        raise RecordRefused(number, "licence", f"{record.licence!r} is not taken", mend)
