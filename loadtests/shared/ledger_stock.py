"""A ledger of any size in a few minutes: the entries of whole tasks, with valid tiles, checkpoints and outcomes, put in by COPY."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import ModelRevokedV1
from tierproof_contracts.ids import tenant_of
from tierproof_evidence_ledger.testing import (
    REVIEWERS,
    answered_task,
    digest,
    enveloped,
    published,
)
from tierproof_evidence_ledger.testing_log import Stock, entry_about
from tierproof_proofs.note import NoteSigner

BATCH, PUBLISH_EVERY = 512, 8
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=5)  # between two batches
TENANTS = tuple(f"tenant-{number}" for number in range(20))
MODELS_FOR = 50_000  # tasks; then another model answers
ONE, ONE_TENANT, ONE_MODEL = answered_task(1).task_id, "acme", digest("weights")
OPEN = 50_000  # entries that may concern an open task: about as many as a day of reviews leaves
RARE = {"documents": 20_000, "acts": 300, "dead": 2000, "waiting": 5000}  # one in so many tasks or entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Stocked:
    """What was put in: entries, tasks, and the time of the newest entry."""

    entries: int
    tasks: int
    newest: str


def instant(batch: int) -> str:
    """Return when a batch was recorded."""
    return (BEGAN + batch * EVERY).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def task_id(number: int) -> str:
    """Return the id of the n-th task."""
    return f"{TENANTS[number % 7 * number % len(TENANTS)]}_{number:032x}"


def model(number: int) -> str:
    """Return the weights' digest of the model that answered the n-th task."""
    return digest(f"model {number // MODELS_FOR}")


def _templates(safety_class: str) -> list[bytes]:
    story = answered_task(1, safety_class=safety_class)
    entries = [entry_about(event, "@recorded@", n) for n, event in enumerate(story.events)]
    data = {
        "task_id": ONE,
        "tenant": ONE_TENANT,
        "kind": "code-review",
        "safety_class": safety_class,
        "outcome": {"status": "answered", "tier": "s", "lane": "verified"},
        "because": "every check passed",
    }
    event = {
        "id": "00000000-0000-5000-8000-000000000001",
        "type": "result.released.v1",
        "source": "evidence-ledger",
        "time": "2026-11-01T12:00:00Z",
        "data": data,
    }
    return [*entries, canonical_json({"entry": 1, "kind": "release", "recorded_at": "@recorded@", "event": event})]


def _task_entries(number: int, templates: dict[str, list[bytes]]) -> Iterator[bytes]:
    name = task_id(number)
    safety_class = "C" if number % 20 == 0 else "A"
    changes = (
        (ONE.encode(), name.encode()),
        (b'"acme"', f'"{tenant_of(name)}"'.encode()),
        (b"producer-1", f"producer-{number % 50}".encode()),
        (ONE_MODEL.encode(), model(number).encode()),
    )
    for place, template in enumerate(templates[safety_class]):
        if safety_class == "C" and number % RARE["waiting"] == 0 and place >= len(templates["C"]) - 3:
            return  # still waits for a person
        entry = template
        for old, new in changes:
            entry = entry.replace(old, new)
        yield entry


def _beside(number: int) -> Iterator[bytes]:
    """Yield what is rare: documents, revocations, dead letters, questions."""
    if number % RARE["documents"] == 0:
        changed = REVIEWERS.model_copy(update={"version": str(number)})
        yield entry_about(published(changed), "@recorded@", number)
        event = enveloped(ModelRevokedV1(digest=model(number), reason="replaced", revoked_by="grace"))
        yield entry_about(event, "@recorded@", number)
        yield _act(
            "ledger.held.v1", {"actor": "ledger_holder", "tenant": "tenant-3", "reason": "x", "hold": str(number)}
        )
    if number % RARE["acts"] == 0:
        yield _act("ledger.queried.v1", {"actor": "auditor", "question": "search", "asked": {"actor": "ada"}})
    if number % RARE["dead"] == 0:
        origin = {"stream": "TASK", "sequence": number, "subject": "x"}
        said = {"service": "router", "reason": "unreadable", "detail": "x", "attempts": 1, "origin": origin}
        yield _about("dead.lettered.v1", said, "event")


def _act(event_type: str, data: dict[str, Any]) -> bytes:
    return _about(event_type, data, "act")


def _about(event_type: str, data: dict[str, Any], kind: str) -> bytes:
    event = {"id": "x", "type": event_type, "source": "evidence-ledger", "time": "2026-11-01T12:00:00Z", "data": data}
    return canonical_json({"entry": 1, "kind": kind, "recorded_at": "@recorded@", "event": event})


def stocked(dsn: str, signer: NoteSigner, least: int) -> Stocked:
    """Put at least so many entries into an empty migrated ledger, as its superuser."""
    templates = {name: _templates(name) for name in "AC"}
    told = (entry for number in itertools.count() for entry in (*_beside(number), *_task_entries(number, templates)))
    with psycopg.connect(dsn) as connection:
        stock, batch = Stock(connection, signer), 0
        while stock.size < least:
            at = instant(batch).encode()
            entries = [entry.replace(b"@recorded@", at) for entry in itertools.islice(told, BATCH)]
            stock.open_from = max(0, stock.size - OPEN)
            last = stock.size + BATCH >= least
            stock.append(entries, publish=last or batch % PUBLISH_EVERY == 0)
            batch += 1
        for status, condition in (("failed", "seq % 997 = 0"), ("answered", "true")):
            connection.execute(
                f"""INSERT INTO ledger.outcome (task_id, seq, status)
                    SELECT task_id, min(seq), '{status}' FROM ledger.v_entry
                    WHERE event_type = 'result.released.v1' AND {condition} GROUP BY task_id ON CONFLICT DO NOTHING""".encode()  # noqa: S608
            )
        row = connection.execute("SELECT count(*) FROM ledger.outcome").fetchone()
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    return Stocked(entries=stock.size, tasks=int(row[0]) if row else 0, newest=instant(batch - 1))
