"""That the schema is as the log tells: what each migration left, and nothing that calls itself one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tierproof_evidence_ledger.acts import MIGRATED
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.fingerprint import SERVER, parts_of

Rows = psycopg.Connection[Any]


@dataclass(slots=True, kw_only=True)
class SchemaTold:
    """What is believed of the schema; None while no migration has told. `known` are the names of migrations that there are."""

    known: frozenset[str] = frozenset()
    parts: Mapping[str, str] | None = None
    _told_of: set[str] = field(default_factory=set)

    def learn(self, seq: int | None, said: Mapping[str, Any], report: Report) -> None:
        """Take in what an act says. Whoever writes acts could explain a change away: it needs a migration that is one, and a new one.

        A server of another version, or a first description of it, changes parts as well.
        """
        parts, names = said.get("parts"), said.get("migrations")
        if not isinstance(parts, dict) or not isinstance(names, list):
            report.add(seq, "a migration is told of that says nothing of the schema")
            return
        fresh = {str(name) for name in names} - self._told_of
        if strangers := sorted(fresh - self.known):
            report.add(seq, f"a migration is told of that there is none: {strangers[0]}")
        elif self.parts is None or fresh or parts.get(SERVER) != self.parts.get(SERVER):
            self.parts = parts
        elif parts != self.parts:
            report.add(seq, "the schema is told to be another one, and no migration has changed it")
        self._told_of |= fresh & self.known


def compare(rows: Rows, told: SchemaTold, report: Report) -> None:
    """Compare the schema with what the newest migration said; its act may be on its way into the log."""
    query = "SELECT said FROM ledger.v_act WHERE type = %s AND seq IS NULL ORDER BY done_at, act_id"
    for (said,) in rows.execute(query, [MIGRATED]).fetchall():
        told.learn(None, said if isinstance(said, dict) else {}, report)
    if told.parts is None:
        return
    now = parts_of(rows)
    for part in sorted(now.keys() | told.parts.keys()):
        if now.get(part) != told.parts.get(part):
            report.add(None, f"the schema was altered: {part}")
