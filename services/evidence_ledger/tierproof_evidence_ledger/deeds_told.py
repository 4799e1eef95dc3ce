"""That what people did in the database, what its tables say of it, and what the log says of it are the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from tierproof_contracts.ids import written

from tierproof_evidence_ledger.acts import DEEDS, SOURCE, Act, act_event, plain
from tierproof_evidence_ledger.findings import Report

ERASED, HELD, UNHELD = "ledger.erased.v1", "ledger.held.v1", "ledger.unheld.v1"
Rows = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """An act as its table tells it: what was said there, and the event that the log is to hold of it.

    `seq` is None while it is on its way into the log.
    """

    data: Mapping[str, Any]
    event: Mapping[str, Any]
    seq: int | None

    @property
    def type(self) -> str:
        """Which deed it was."""
        return str(self.event["type"])


def compare(rows: Rows, told: Mapping[str, tuple[int, Mapping[str, Any]]], report: Report) -> None:
    """Compare the tables with the acts that the log tells: by id, the entry and its event."""
    done = dict(_done(rows))
    for act_id, (seq, event) in told.items():
        deed = done.get(act_id)
        if deed is None or (deed.seq, deed.event) != (seq, event):
            report.add(seq, "the act is not the one that was done in the database")
    for act_id, deed in done.items():
        if deed.seq is not None and act_id not in told:
            report.add(deed.seq, f"{deed.type} was done in the database and is not in the log")
        if deed.type not in DEEDS:
            report.add(deed.seq, f"{deed.type} is nothing that is done in a database")
    believed = [deed for deed in done.values() if deed.type in DEEDS]
    _erasures(rows, believed, report)
    _holds(rows, believed, report)


def _done(rows: Rows) -> Iterator[tuple[str, Deed]]:
    for act_id, kind, said, done_at, seq in rows.execute("SELECT act_id, type, said, done_at, seq FROM ledger.v_act"):
        act = Act(type=kind, data=said if isinstance(said, dict) else {}, act_id=act_id, done_at=written(done_at))
        yield (
            str(act_id),
            Deed(data=plain({"actor": SOURCE, **act.data}), event=act_event(act, str(act.done_at)), seq=seq),
        )


def _erasures(rows: Rows, done: list[Deed], report: Report) -> None:
    """Check keys of texts: gone are those that somebody erased, and no others."""
    acts = {
        (key, deed.data.get("tenant"), deed.data.get("reason"), deed.data.get("actor"))
        for deed in done
        if deed.type == ERASED
        for key in deed.data.get("keys", ())
    }
    noted = set(rows.execute("SELECT key_id::text, tenant, reason, erased_by FROM ledger.v_erasure").fetchall())
    for key_id, tenant, *_ in sorted(acts ^ noted):
        report.add(None, f"the erasure of key {key_id} of {tenant} is not told as it was done")
    erased = {row[:2] for row in acts}
    query = "SELECT DISTINCT key_id::text, tenant, readable FROM ledger.v_sealed_text"
    for key_id, tenant, readable in rows.execute(query):
        if readable and (key_id, tenant) in erased:
            report.add(None, f"the key of texts {key_id} is there, and was erased")
        if not readable and (key_id, tenant) not in erased:
            report.add(None, f"the key of texts {key_id} of {tenant} is gone, and nobody has erased it")


def _holds(rows: Rows, done: list[Deed], report: Report) -> None:
    columns = "hold_id::text, tenant, reason, placed_by, lifted_because, lifted_by"
    held = {row[0]: row[1:] for row in rows.execute(f"SELECT {columns} FROM ledger.v_hold").fetchall()}  # noqa: S608 - names of columns
    acts: dict[str, tuple[Any, ...]] = {}
    for deed in sorted(done, key=lambda each: (each.type, each.event["time"])):  # held before unheld
        hold, reason, actor = (deed.data.get(name) for name in ("hold", "reason", "actor"))
        if deed.type == HELD:
            acts[str(hold)] = (deed.data.get("tenant"), reason, actor, None, None)
        elif deed.type == UNHELD:
            acts[str(hold)] = (*acts.get(str(hold), (None, None, None))[:3], reason, actor)
    for hold in sorted(held.keys() | acts.keys()):
        if held.get(hold) != acts.get(hold):
            report.add(None, f"the legal hold {hold} is not told as it was done")
