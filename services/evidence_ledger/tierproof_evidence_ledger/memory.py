"""What a deep verification remembers of the entries, to compare the books with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tierproof_evidence_ledger.acts import DEEDS, MIGRATED, RESTORED, VERIFIED
from tierproof_evidence_ledger.attested import Attested, attested_in
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.schema_told import SchemaTold

OPENING = frozenset({"task.submitted.v1", "task.accepted.v1", "review.requested.v1", "task.decided.v1"})


@dataclass(slots=True, kw_only=True)
class Memory:
    """What the entries said: releases by task, acts done in the database by id, roots by size, the schema, the newest time.

    `attested` is what verifications said since the newest restore.
    `opened` are tasks without an outcome by the first entry that speaks of them, `oldest` the first of those by size.
    """

    report: Report
    released: dict[str, tuple[int, str, str | None]] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    oldest: dict[int, int] = field(default_factory=dict)
    acts: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    tiles: int = 0
    unstored: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    schema: SchemaTold = field(default_factory=SchemaTold)
    attested: list[Attested] = field(default_factory=list)
    recorded_at: str = ""

    def learn(self, seq: int, entry: Mapping[str, Any]) -> None:
        """Take in an entry; raises what a malformed one raises."""
        if entry["recorded_at"] < self.recorded_at:
            self.report.add(seq, "recorded before the entry before it")
        self.recorded_at = entry["recorded_at"]
        if entry["kind"] == "release":
            self._released(seq, entry["event"]["data"])
        elif entry["kind"] == "act":
            self._acted(seq, entry["event"])
        elif entry["kind"] == "rejected":
            self._opened(seq, entry.get("task_id"))
        elif entry["kind"] == "event" and entry["event"]["type"] in OPENING:
            self._opened(seq, entry["event"]["data"]["task_id"])

    def checkpointed(self, size: int, root: bytes) -> None:
        """Keep the root of a checkpoint that is right, and the first entry about a task that was open then."""
        self.roots[size] = root
        self.oldest[size] = next(iter(self.opened.values()), size)

    def _opened(self, seq: int, task_id: str | None) -> None:
        if task_id is not None and task_id not in self.released:
            self.opened.setdefault(task_id, seq)

    def _released(self, seq: int, data: Mapping[str, Any]) -> None:
        if earlier := self.released.get(data["task_id"]):
            self.report.add(seq, f"task {data['task_id']} was released before, at {earlier[0]}")
        decision = (data.get("decision") or {}).get("event_id")
        self.released.setdefault(data["task_id"], (seq, data["outcome"]["status"], decision))
        self.opened.pop(data["task_id"], None)
        if data["ledger"]["index"] != seq:
            self.report.add(seq, "the release names another position than its own")

    def _acted(self, seq: int, event: Mapping[str, Any]) -> None:
        if event["type"] in DEEDS:
            self.acts[event["id"]] = (seq, event)
        if event["type"] == RESTORED:
            self.lost |= set(event["data"].get("texts_lost", ()))
            self.attested.clear()  # what a disaster took, a restore tells
        if event["type"] == MIGRATED:
            self.schema.learn(seq, event["data"], self.report)
        if event["type"] == VERIFIED and (attested := attested_in(event["data"])):
            self.attested.append(attested)
