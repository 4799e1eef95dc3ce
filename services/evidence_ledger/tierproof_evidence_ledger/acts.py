"""Acts: what the ledger itself, or a person in its database, did. Each becomes an entry of kind `act`.

| type | its data besides `actor` |
|---|---|
| `ledger.queried.v1` | `question`, `asked` |
| `ledger.verified.v1` | `entries`, `root`, `faults`, `first_bad`, `seconds_milli`, `attested`: of books that only grow |
| `ledger.erased.v1` | `tenant`, `reason`, `keys` |
| `ledger.held.v1`, `ledger.unheld.v1` | `tenant`, `reason`, `hold` |
| `ledger.restored.v1` | what a restore found and did |
| `ledger.rotated.v1` | `old`, `key` (vkeys), `from`, `until_old` (sizes of the log) |
| `ledger.clocked.v1` | what the clocks said |
| `ledger.altered.v1` | `command`, `objects`: somebody changed the schema |
| `ledger.migrated.v1` | `migrations`, `parts`: what the schema is made of since |
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tierproof_contracts.canonical import ambiguity

from tierproof_evidence_ledger.canonical import ENTRY_VERSION, canonical, unfit

SOURCE = "evidence-ledger"
QUERIED, VERIFIED, ROTATED, CLOCKED, RESTORED, ALTERED, MIGRATED = (
    f"ledger.{deed}.v1" for deed in ("queried", "verified", "rotated", "clocked", "restored", "altered", "migrated")
)
SHOWN = 200  # characters of a name in an entry
ALARMING = frozenset({ALTERED, MIGRATED, "ledger.erased.v1"})
DEEDS = frozenset({"ledger.erased.v1", "ledger.held.v1", "ledger.unheld.v1", ALTERED, MIGRATED})  # done in the database


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A deed on its way into the log. `data` are JSON values, `done_at` RFC 3339, None for when it is recorded."""

    type: str
    data: Mapping[str, Any]
    act_id: uuid.UUID = field(default_factory=uuid.uuid4)
    done_at: str | None = None
    in_database: bool = False


def act_entry(act: Act, recorded_at: str) -> bytes:
    """Return the canonical bytes of an act's entry."""
    return canonical(_entry(act_event(act, recorded_at), recorded_at))


def act_event(act: Act, recorded_at: str) -> dict[str, Any]:
    """Return what the log says of an act; of one that no entry could hold, who did it and the digest of the rest."""
    data = plain({"actor": SOURCE, **act.data})
    event = {
        "id": str(act.act_id),
        "type": act.type,
        "source": SOURCE,
        "subject": str(data.get("tenant") or act.type)[:SHOWN],
        "time": act.done_at or recorded_at,
    }
    why = unfit(canonical(_entry(event | {"data": data}, recorded_at)))
    if why is not None:
        digest = sha256(canonical(data)).hexdigest()
        data = {"actor": str(data["actor"])[:SHOWN], "unfit": why, "sha256": digest}
    return event | {"data": data}


def _entry(event: Mapping[str, Any], recorded_at: str) -> dict[str, Any]:
    return {"entry": ENTRY_VERSION, "kind": "act", "recorded_at": recorded_at, "event": event}


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value that has one canonical form: other numbers, keys and characters become plain words."""
    if isinstance(value, Mapping):
        return {_word(str(key)).encode("ascii", "replace").decode(): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, str):
        return _word(value)
    return value if ambiguity(value) is None else _word(str(value))


def _word(words: str) -> str:
    return words.replace("\x00", "").encode("utf-8", "replace").decode()
