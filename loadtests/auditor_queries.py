"""How long does an auditor wait for an answer? Targets at a million entries: p95 below 150 ms for each kind, p99 of proofs below 10 ms.

Questions go through the ledger's own answering code with the auditor's rights, from JSON to JSON; what is left out is the broker and the
append that records who asks (a batch). Conditions are drawn from a seeded generator, among them those that no index fits well. The floor,
in the same run: reading one entry by its position over an open connection. `python loadtests/auditor_queries.py [--sizes 10000 ...]`
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine
import psycopg
from shared import ledger_stock as stock
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.questions import Answers
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.note import NoteSigner

TARGET_P95_MS, TARGET_PROOF_P99_MS = 150.0, 10.0
SEED = 20
LARGEST = 8 << 20
SIGNER = NoteSigner(name="ledger.example/load", signer=Ed25519Signer.from_seed(b"log key seed, for load tests 32b"))
Question = tuple[str, dict[str, Any]]


class Auditor:
    """Draws questions about a stocked ledger."""

    def __init__(self, about: stock.Stocked) -> None:
        self.about, self.chance = about, random.Random(SEED)
        self.batches = about.entries // stock.BATCH

    def task(self) -> int:
        """Return some task."""
        return self.chance.randrange(1, self.about.tasks)

    def hour(self) -> dict[str, str]:
        """Return an hour somewhere in the log."""
        begin = self.chance.randrange(max(1, self.batches - 720))
        return {"since": stock.instant(begin), "until": stock.instant(begin + 720)}

    def kinds(self) -> dict[str, Callable[[], Question]]:
        """Return the kinds of questions by name; each call gives another one."""
        chance, about = self.chance, self.about
        return {
            "search: task": lambda: ("search", {"task_id": stock.task_id(self.task())}),
            "search: person, newest first": lambda: ("search", {"actor": "ada", "newest_first": True}),
            "search: actor of a few entries": lambda: ("search", {"actor": f"producer-{chance.randrange(50)}"}),
            "search: actor of most entries": lambda: ("search", {"actor": "tests", "newest_first": True}),
            "search: an hour": lambda: ("search", self.hour()),
            "search: tenant in an hour": lambda: ("search", self.hour() | {"tenant": chance.choice(stock.TENANTS)}),
            "search: type and class in an hour": lambda: (
                "search",
                self.hour() | {"event_type": "review.requested.v1", "safety_class": "C"},
            ),
            "search: model": lambda: ("search", {"model": stock.model(self.task())}),
            "search: the first model, newest first": lambda: (
                "search",
                {"model": stock.model(0), "newest_first": True},
            ),
            "search: two that never meet": lambda: ("search", {"actor": "ada", "event_type": "task.accepted.v1"}),
            "search: person and tenant": lambda: ("search", {"actor": "ada", "tenant": chance.choice(stock.TENANTS)}),
            "search: acts": lambda: ("search", {"kind": "act", "newest_first": True}),
            "search: a page in the middle": lambda: (
                "search",
                {"after": chance.randrange(about.entries), "limit": 100},
            ),
            "search: as of": lambda: (
                "search",
                {"as_of": stock.instant(chance.randrange(self.batches)), "tenant": "tenant-3", "newest_first": True},
            ),
            "story": lambda: ("story", {"task_id": stock.task_id(self.task())}),
            "history: document": lambda: ("history", {"record": "document:reviewers"}),
            "history: task": lambda: ("history", {"record": f"task:{stock.task_id(self.task())}"}),
            "history: model": lambda: ("history", {"record": f"model:{stock.model(self.task())}"}),
            "history: texts": lambda: ("history", {"record": "texts:tenant-3"}),
            "tasks": lambda: ("tasks", {}),
            "tasks: tenant": lambda: ("tasks", {"tenant": chance.choice(stock.TENANTS)}),
            "tasks: failed": lambda: ("tasks", {"state": "failed"}),
            "tasks: waiting": lambda: ("tasks", {"state": "waiting"}),
            "reviews": lambda: ("reviews", {}),
            "dead": lambda: ("dead", {}),
            "export: a page of entries": lambda: ("export-entries", {}),
            "export: selected entries": lambda: (
                "export-entries",
                {"tenant": chance.choice(stock.TENANTS), **self.hour()},
            ),
            "export: a page of tiles": lambda: ("export-tiles", {"size": about.entries}),
            "proof": lambda: ("proof", {"index": chance.randrange(about.entries)}),
            "proof of a task": lambda: ("proof", {"task_id": stock.task_id(self.task())}),
        }


async def _verified() -> Report:
    return Report()


async def _unrecorded(_type: str, _data: dict[str, Any]) -> int:
    return 0


async def measured(answers: Answers, draw: Callable[[], Question], times: int) -> dict[str, Any]:
    """Ask so many questions, one after the other, and return milliseconds."""
    took, sizes = [], []
    for _ in range(times):
        name, question = draw()
        content = json.dumps(question).encode()
        began = time.perf_counter()
        reply = await answers.answer(name, content, "auditor", LARGEST)
        took.append(time.perf_counter() - began)
        sizes.append(len(reply))
        if not reply.startswith(b'{"answer"') and name != "story" and "task_id" not in question:
            raise SystemExit(f"{name} {question}: {reply[:300]!r}")
    cuts = statistics.quantiles(took, n=100)
    figures = {"p50_ms": statistics.median(took), "p95_ms": cuts[94], "p99_ms": cuts[98], "max_ms": max(took)}
    return {
        **{name: round(1000 * value, 2) for name, value in figures.items()},
        "reply_bytes_p50": round(statistics.median(sizes)),
    }


class Explained:
    """A connection that asks for the plan of each query before it runs it."""

    def __init__(self, rows: Any) -> None:  # noqa: ANN401 - a connection
        self._rows, self.scanned = rows, set[str]()

    def execute(self, query: Any, values: Any = None, **how: Any) -> Any:  # noqa: ANN401 - as psycopg has it
        """Explain, note what is read from end to end, and run."""
        text = query if isinstance(query, bytes) else query.encode()
        plan = self._rows.execute(b"EXPLAIN (FORMAT JSON) " + text, values).fetchone()["QUERY PLAN"]
        self.scanned |= set(scans(plan[0]["Plan"]))
        return self._rows.execute(query, values, **how)


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scans(part)


async def scanned_by(answers: Answers, draw: Callable[[], Question], times: int) -> list[str]:
    """Return the tables that such questions read from end to end."""
    lend, found = answers._readers.reading, set[str]()  # noqa: SLF001 - no plan is part of an answer

    @contextlib.contextmanager
    def explaining() -> Iterator[Any]:
        with lend() as rows:
            explained = Explained(rows)
            yield explained
            found.update(explained.scanned)

    answers._readers.reading = explaining  # type: ignore[method-assign,assignment]  # noqa: SLF001
    try:
        for _ in range(times):
            name, question = draw()
            await answers.answer(name, json.dumps(question).encode(), "auditor", LARGEST)
    finally:
        answers._readers.reading = lend  # type: ignore[method-assign]  # noqa: SLF001
    return sorted(found)


def floor(dsn: str, entries: int, times: int) -> dict[str, float]:
    """Return milliseconds to read one entry by its position."""
    chance, took = random.Random(SEED), []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(times):
            began = time.perf_counter()
            connection.execute(
                "SELECT canonical FROM ledger.v_entry WHERE seq = %s", [chance.randrange(entries)]
            ).fetchone()
            took.append(time.perf_counter() - began)
    cuts = statistics.quantiles(took, n=100)
    return {"p50_ms": round(1000 * statistics.median(took), 3), "p99_ms": round(1000 * cuts[98], 3)}


async def of_size(server: PostgresServer, least: int, times: int) -> dict[str, Any]:
    """Stock a ledger and ask it everything."""
    name = server.create_database()
    migrate(server.dsn(name), delivered_migrations())
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        connection.execute("ALTER ROLE ledger_auditor PASSWORD 'ledger_auditor'")
    began = time.perf_counter()
    about = stock.stocked(server.dsn(name), SIGNER, least)
    stocked_in = time.perf_counter() - began
    dsn = server.dsn(name, "ledger_auditor", "ledger_auditor")
    answers = Answers(dsn, _verified, _unrecorded)
    auditor = Auditor(about)
    first_proof = await measured(answers, lambda: ("proof", {"index": about.entries // 2}), 2)
    found = {}
    for kind, draw in auditor.kinds().items():
        found[kind] = await measured(answers, draw, times * 5 if kind.startswith("proof") else times)
        found[kind]["read_from_end_to_end"] = await scanned_by(answers, draw, 5)
        print(f"{about.entries:>8} {kind:40} {found[kind]}", flush=True)
    answers.close()
    result = {
        "entries": about.entries,
        "stocked_in_seconds": round(stocked_in, 1),
        "floor": floor(dsn, about.entries, 1000),
        "first_proof_ms": first_proof["max_ms"],
        "questions": found,
    }
    server.drop_database(name)
    return result


def missed(result: dict[str, Any]) -> list[str]:
    """Return the kinds of questions that missed their targets."""
    questions = result["questions"]
    slow = [name for name, figures in questions.items() if figures["p95_ms"] >= TARGET_P95_MS]
    return slow + [
        name for name in questions if name.startswith("proof") and questions[name]["p99_ms"] >= TARGET_PROOF_P99_MS
    ]


def main() -> None:
    """Measure, write the result; exits 1 when a target is missed at the largest size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--times", type=int, default=100)
    asked = parser.parse_args()
    described = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            sizes = [asyncio.run(of_size(server, least, asked.times)) for least in asked.sizes]
        finally:
            server.stop()
    late = missed(sizes[-1])
    result = {
        "what": "questions through the ledger's answering code, one at a time, JSON to JSON; broker and recording left out",
        "machine": described,
        "load_average_at_end": machine.load(),
        "target_p95_ms": TARGET_P95_MS,
        "target_proof_p99_ms": TARGET_PROOF_P99_MS,
        "met": not late,
        "missed": late,
        "sizes": sizes,
    }
    machine.write("auditor_queries", result)
    if late:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
