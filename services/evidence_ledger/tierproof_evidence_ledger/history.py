"""The history of one record, from the log alone: each change with the old and the new value, who, when and why. Folding is pure."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from tierproof_contracts import audit

from tierproof_evidence_ledger.acts import ROTATED
from tierproof_evidence_ledger.canonical import canonical
from tierproof_evidence_ledger.moments import Rows, size_at

Row = Mapping[str, Any]
COLUMNS = "seq, kind, event_type, actor, occurred_at, recorded_at, entry"
POLICY, REVOKED = "policy.published.v1", "model.revoked.v1"
TEXT_ACTS = ["ledger.erased.v1", "ledger.held.v1", "ledger.unheld.v1"]
LISTED, UNLISTED, WITHDRAWN = "in good standing", "not listed", "revoked"


def history(rows: Rows, question: audit.HistoryAsked) -> audit.History:
    """Return a page of a record's changes; raises BadQuestion. Earlier changes are read as well: values follow from them."""
    size = size_at(rows, question.as_of)
    what, _, name = question.record.partition(":")
    changes = _HISTORIES[what](rows, name, size)
    found = [row for row in changes if question.after is None or row.index > question.after]
    page = tuple(found[: question.limit])
    return audit.History(record=question.record, rows=page, size=size, more=len(page) < len(found))


def _read(rows: Rows, size: int, where: str, **values: object) -> list[dict[str, Any]]:
    query = f"SELECT {COLUMNS} FROM ledger.v_entry WHERE {where} AND seq < %(size)s ORDER BY seq"  # noqa: S608 - conditions below
    return rows.execute(query.encode(), values | {"size": size}).fetchall()


def _documents(rows: Rows, name: str, size: int) -> list[audit.HistoryRow]:
    found = _read(rows, size, "event_type = %(type)s AND kind <> 'conflict'", type=POLICY)
    return list(documents(row for row in found if said(row)["name"] == name))


def documents(published: Iterator[Row]) -> Iterator[audit.HistoryRow]:
    """Yield one change per publication of one document: digests, and the members that changed."""
    before: tuple[str | None, Any] = (None, {})
    for row in published:
        data = said(row)
        content = payload_of(data)
        yield _line(
            row,
            before[0],
            data["digest"],
            changes=tuple(differences(before[1], content)),
            signed_by=tuple(str(part.get("keyid")) for part in data["envelope"]["signatures"]),
        )
        before = (data["digest"], content)


def differences(old: Any, new: Any, member: str = "") -> Iterator[audit.Change]:  # noqa: ANN401 - any JSON value
    """Yield the members that two JSON values do not share, by name, deepest first told; a list counts as one value."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if canonical({"": old}) != canonical({"": new}):  # Python takes 1 for true
            yield audit.Change(member=member, old=old, new=new)
        return
    for name in sorted(old.keys() | new.keys()):
        yield from differences(old.get(name), new.get(name), f"{member}.{name}" if member else name)


def payload_of(data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the document in a DSSE envelope; an empty one where none can be read."""
    try:
        return orjson.loads(base64.b64decode(data["envelope"]["payload"], validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        return {}


def _task(rows: Rows, task_id: str, size: int) -> list[audit.HistoryRow]:
    return list(states(_read(rows, size, "task_id = %(task_id)s", task_id=task_id)))


def states(told: Sequence[Row]) -> Iterator[audit.HistoryRow]:
    """Yield one change per event that moved a task on."""
    before: str | None = None
    for row in told:
        state = _state(row)
        if state is not None and state != before:
            yield _line(row, before, state)
            before = state


def _state(row: Row) -> str | None:
    if row["kind"] == "rejected":
        return "submitted unreadably"
    if row["kind"] not in {"event", "release"}:
        return None
    data = said(row)
    words = _STATES.get(row["event_type"], str(row["event_type"]))
    part = data.get("outcome") or data.get("settlement") or data.get("verdict") or {}
    status = part if isinstance(part, str) else part.get("status", "")
    return words.format(tier=data.get("tier", ""), status=status).strip()


_STATES = {
    "task.submitted.v1": "submitted",
    "task.accepted.v1": "accepted",
    "inference.requested.v1": "asking tier {tier}",
    "inference.settled.v1": "tier {tier}: {status}",
    "verification.requested.v1": "being checked",
    "verification.settled.v1": "checks {status}",
    "review.requested.v1": "waiting for a person",
    "review.decided.v1": "a person's word: {status}",
    "review.expired.v1": "review expired",
    "task.decided.v1": "decided: {status}",
    "task.expired.v1": "deadline passed",
    "result.released.v1": "released: {status}",
}


def _model(rows: Rows, digest: str, size: int) -> list[audit.HistoryRow]:
    manifests = _read(rows, size, "event_type = %(type)s AND kind <> 'conflict'", type=POLICY)
    revoked = _read(
        rows,
        size,
        "event_type = %(type)s AND kind <> 'conflict' AND digests[1] = %(digest)s",
        type=REVOKED,
        digest=digest,
    )
    found = [row for row in manifests if said(row)["name"] == "fleet-manifest"] + revoked
    return list(standings(sorted(found, key=lambda row: int(row["seq"])), digest))


def standings(told: Sequence[Row], digest: str) -> Iterator[audit.HistoryRow]:
    """Yield when a model was listed in the fleet, left it, and was revoked, which nothing takes back."""
    before: str | None = None
    for row in told:
        if row["event_type"] == REVOKED:
            yield _line(row, before or LISTED, WITHDRAWN)
            return
        now = LISTED if digest in _strings(payload_of(said(row))) else UNLISTED
        if now != (before or UNLISTED):
            yield _line(row, before or UNLISTED, now)
            before = now


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _texts(rows: Rows, tenant: str, size: int) -> list[audit.HistoryRow]:
    found = _read(
        rows,
        size,
        "event_type = ANY (%(types)s) AND kind = 'act' AND tenant = %(tenant)s",
        types=TEXT_ACTS,
        tenant=tenant,
    )
    return list(keepings(found))


def keepings(told: Sequence[Row]) -> Iterator[audit.HistoryRow]:
    """Yield what became of a tenant's texts: erased, held, unheld."""
    holds: set[str] = set()
    before = "readable"
    for row in told:
        data = said(row)
        if row["event_type"] == "ledger.erased.v1":
            keys = len(data.get("keys") or ())
            now = f"erased ({keys} keys)"
        else:
            (holds.add if row["event_type"] == "ledger.held.v1" else holds.discard)(str(data.get("hold")))
            now = f"held ({len(holds)})" if holds else "not held"
        yield _line(row, before, now)
        before = now


def _log_key(rows: Rows, _: str, size: int) -> list[audit.HistoryRow]:
    found = _read(rows, size, "event_type = %(type)s AND kind = 'act'", type=ROTATED)
    return [
        _line(
            row,
            data.get("old"),
            data.get("key"),
            f"signs from {data.get('from')} on, the old one until {data.get('until_old')}",
        )
        for row in found
        for data in [said(row)]
    ]


def said(row: Row) -> dict[str, Any]:
    """Return what the event of an entry says; empty for an entry without one."""
    data: dict[str, Any] = (row["entry"].get("event") or {}).get("data") or {}
    return data


def _line(row: Row, old: str | None, new: str | None, note: str | None = None, **more: Any) -> audit.HistoryRow:  # noqa: ANN401
    data = said(row)
    why = [data.get("because"), data.get("reason"), note, row["entry"].get("reason")]
    happened = row["occurred_at"] or row["recorded_at"]
    return audit.HistoryRow(
        index=row["seq"],
        time=happened.isoformat(),
        recorded_at=row["recorded_at"].isoformat(),
        who=data.get("revoked_by") or row["actor"] or "",
        old=old,
        new=new,
        why="; ".join(part for part in why if isinstance(part, str)) or None,
        type=row["event_type"] or row["kind"],
        **more,
    )


_HISTORIES = {"document": _documents, "task": _task, "model": _model, "texts": _texts, "log-key": _log_key}
