"""What must hold after the kills: each acknowledged event is in the log once, unaltered, and everything that tells of the log agrees.

Rows, messages and files are compared here anew, beside the ledger's own deep verification, and not with the ledger's code.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from tierproof_contracts.text import sealed
from tierproof_contracts.topology import LEDGER_STREAMS
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.unsealing import open_texts
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.trust import Trust

from tests.faults.evidence_ledger.kill_parts import Stack
from tests.faults.evidence_ledger.stored_messages import Stored, messages_of, unread
from tests.faults.evidence_ledger.surely_published import Told
from tests.faults.evidence_ledger.tree_of_files import Leaves, mirror_faults, witness_faults

MOST = 5  # of one kind that are named
DECIDED, RELEASED = "task.decided.v1", "result.released.v1"
Entry = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Findings:
    """What is wrong, in words; of each kind the first few. `counts` are what was looked at."""

    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, what: str) -> None:
        """Note a fault of a kind."""
        self._kinds[kind] += 1
        if self._kinds[kind] <= MOST:
            self.faults.append(f"{what}: {kind}")


@dataclass(slots=True, kw_only=True)
class Log:
    """The entries as the database holds them: the digests of what they say by event id, their leaf hashes, and what was decided."""

    said: dict[str, list[bytes]] = field(default_factory=dict)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    leaves: Leaves = field(default_factory=Leaves)
    decisions: dict[str, Entry] = field(default_factory=dict)
    releases: dict[str, list[Entry]] = field(default_factory=dict)


def checked(stack: Stack, told: Mapping[str, Told]) -> Findings:
    """Look at database, streams, mirror and witness of a ledger at rest whose sequencer has stopped; `told` is what was acknowledged."""
    findings = Findings()
    streams = asyncio.run(messages_of(stack.nats.url))
    log = _log(stack, findings)
    _published(told, streams, findings)
    _recorded(told, streams, log, findings)
    _positions(stack, streams, findings)
    _released(stack, streams["RESULT"], log, findings)
    _announced(stack, streams["EVIDENCE"], findings)
    for durable, left in asyncio.run(unread(stack.nats.url)).items():
        findings.add("not everything was acknowledged", f"{durable}: {left}")
    for fault in (*mirror_faults(stack.mirror, log.leaves), *witness_faults(stack.witness_store, log.leaves)):
        findings.add("the log's other copies disagree", fault)
    _verified(stack, findings)
    findings.counts |= {"entries": len(log.leaves.hashes), "tasks_released": len(log.releases), **log.kinds}
    findings.counts |= {f"messages_{name.lower()}": len(stored) for name, stored in streams.items() if stored}
    return findings


def _digest(said: Any) -> bytes:
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()


def _log(stack: Stack, findings: Findings) -> Log:
    log = Log()
    with psycopg.connect(stack.ledger.dsn()) as rows, rows.cursor("entries", binary=True) as cursor:
        cursor.execute("SELECT seq, canonical FROM ledger.entry ORDER BY seq")
        for expected, (seq, content) in enumerate(cursor):
            if seq != expected and not findings.faults:
                findings.add("the indices have a gap, or one comes twice", f"entry {expected}")
            log.leaves.add(content)
            _learn(log, orjson.loads(content))
    return log


def _learn(log: Log, entry: Entry) -> None:
    log.kinds[entry["kind"]] += 1
    if entry["kind"] not in {"event", "release"}:
        return
    event = entry["event"]
    if entry["kind"] == "release":
        log.releases.setdefault(event["data"]["task_id"], []).append(event)
        return
    log.said.setdefault(event["id"], []).append(_digest(event))
    log.places[event["id"]] = (entry["stream"], entry["stream_seq"])
    if event["type"] == DECIDED:
        log.decisions[event["data"]["task_id"]] = event


def _published(told: Mapping[str, Told], streams: Mapping[str, list[Stored]], findings: Findings) -> None:
    """Each acknowledged event lies where the broker said, as it was sent, and nothing else lies there."""
    places = {(each.stream, each.sequence): event_id for event_id, each in told.items()}
    if len(places) != len(told):
        findings.add("acknowledged for two events", f"{len(told) - len(places)} positions of streams")
    for stream in LEDGER_STREAMS:
        for stored in streams[stream]:
            event_id = places.pop((stream, stored.sequence), None)
            if event_id is None:
                findings.add("in the stream, and nobody was told so", f"{stream} {stored.sequence}, {stored.subject}")
            elif hashlib.sha256(stored.content).digest() != told[event_id].digest:
                findings.add("other bytes in the stream than were sent", f"event {event_id}")
    for event_id in places.values():
        findings.add("acknowledged, and not in the stream", f"event {event_id}")


def _recorded(told: Mapping[str, Told], streams: Mapping[str, list[Stored]], log: Log, findings: Findings) -> None:
    """Each acknowledged event is in the entries once, as it was sent but for its texts, and no other event is."""
    for event_id in told.keys() - log.said.keys():
        findings.add("acknowledged, and in no entry", f"event {event_id}")
    for event_id in log.said.keys() - told.keys():
        findings.add("in the entries, and never acknowledged", f"event {event_id}")
    for event_id, digests in log.said.items():
        if len(digests) > 1:
            findings.add("more than one entry", f"event {event_id}: {len(digests)} entries")
        if event_id in told and log.places[event_id] != (told[event_id].stream, told[event_id].sequence):
            findings.add("recorded from another position than was acknowledged", f"event {event_id}")
    for kind in log.kinds.keys() - {"event", "release", "act"}:
        findings.add("entries that nothing here gives reason to", f"{log.kinds[kind]} of kind {kind}")
    for stream in LEDGER_STREAMS:
        for stored in streams[stream]:
            event = orjson.loads(stored.content)
            if event["id"] in log.said and _digest(sealed(event)) not in log.said[event["id"]]:
                findings.add("recorded otherwise than it was sent", f"event {event['id']}")


def _positions(stack: Stack, streams: Mapping[str, list[Stored]], findings: Findings) -> None:
    """Each position of each stream was read once, and gave an entry; none was read that does not exist."""
    rows = stack.ledger.rows("SELECT stream, stream_seq, disposition FROM ledger.v_ingest_key")
    read = Counter((stream, place) for stream, place, _ in rows)
    stored = {(stream, message.sequence) for stream in LEDGER_STREAMS for message in streams[stream]}
    for stream, place in stored ^ read.keys():
        findings.add("in the stream or among the read positions, not in both", f"{stream} {place}")
    for disposition, count in Counter(disposition for _, _, disposition in rows).items():
        if disposition != "recorded":
            findings.add("positions that became no event", f"{count} of disposition {disposition}")


def _released(stack: Stack, results: list[Stored], log: Log, findings: Findings) -> None:
    """Each decided task has one outcome, one release in the log and one result in the stream, which all say what was decided."""
    outcomes = Counter(task for (task,) in stack.ledger.rows("SELECT task_id FROM ledger.outcome"))
    out: dict[str, list[Entry]] = {}
    for stored in results:
        event = sealed(orjson.loads(stored.content))
        out.setdefault(event["data"]["task_id"], []).append(event)
    for task in outcomes.keys() | out.keys() | log.releases.keys() | log.decisions.keys():
        decision, results_of, releases = log.decisions.get(task), out.get(task, []), log.releases.get(task, [])
        counts = (int(decision is not None), outcomes[task], len(releases), len(results_of))
        if counts != (1, 1, 1, 1):
            findings.add("decisions, outcomes, releases, results are not one of each", f"task {task}: {counts}")
            continue
        if results_of[0] != releases[0]:
            findings.add("the result in the stream is another than the log's release", f"task {task}")
        if releases[0]["data"]["outcome"] != _answered(decision):
            findings.add("what was released is not what was decided", f"task {task}")


def _answered(decision: Entry | None) -> Entry:
    """Return a decision's outcome in the words of a release."""
    outcome: Entry = decision["data"]["outcome"] if decision else {}
    return outcome | {"status": "answered"} if outcome.get("status") == "accepted" else outcome


def _announced(stack: Stack, evidence: list[Stored], findings: Findings) -> None:
    """Each published checkpoint was announced once, with the note that is stored."""
    stored = dict(stack.ledger.rows("SELECT size, note FROM ledger.published_checkpoint"))
    told = [orjson.loads(message.content)["data"] for message in evidence]
    findings.counts["checkpoints_published"] = len(stored)
    for size, count in Counter(data["size"] for data in told).items():
        if count > 1:
            findings.add("announced more than once", f"checkpoint of {size}")
    for data in told:
        if stored.pop(data["size"], None) != data["note"]:
            findings.add("announced with another note than is stored", f"checkpoint of {data['size']}")
    for size in stored:
        findings.add("published, and not announced", f"checkpoint of {size}")


def _verified(stack: Stack, findings: Findings) -> None:
    """Run the ledger's own deep verification, texts opened."""
    report = verify(stack.ledger.dsn("ledger_auditor"), Trust.from_json(stack.trust.read_text()))
    open_texts(stack.ledger.dsn("ledger_writer"), Vault.at(stack.text_key), report)
    findings.counts |= {"verified": report.size, "checkpoints": report.checkpoints, "texts_opened": report.opened or 0}
    for fault in report.faults:
        findings.add("deep verification", f"entry {fault.seq}: {fault.what}" if fault.seq is not None else fault.what)
