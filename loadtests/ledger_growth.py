"""Does an entry cost more in a large ledger? The cost of one appended event, of taking office, and of deep verification, by size.

Ledgers of 10^4, 10^5 and 10^6 entries are put in by COPY; then the real recorder appends the events of new tasks to each, in batches,
every commit synchronous. The floor of the same run is the same COPY of the same bytes into a plain table. Deep verification is measured
on ledgers that the recorder wrote whole. `python loadtests/ledger_growth.py [--largest 1000000]`
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import machine
import psycopg
import uvloop
from shared.ledger_stock import stocked
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger.canonical import Delivered
from tierproof_evidence_ledger.copying import entry_rows
from tierproof_evidence_ledger.desk import Patience
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.term import Office, begin
from tierproof_evidence_ledger.testing import answered_task
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

SIZES = (10_000, 100_000, 1_000_000)
VERIFIED = (10_000, 100_000)
BATCH, APPENDED, FIRST = 512, 3000, 1 << 40  # events a batch, tasks appended, number of the first of them
TARGET_VERIFIED, MOST_GROWTH = 15_000, 1.25
SIGNER = NoteSigner(name="ledger.example/load", signer=Ed25519Signer.from_seed(b"log key seed for load tests only"))
BYTES = """SELECT sum(pg_total_relation_size(oid)) FROM pg_class
           WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'"""
LONG = timedelta(days=40_000)
OFFICE = Office(
    signer=SIGNER, vault=Vault(bytes(32)), signers={}, patience=Patience(grace=LONG, undated=LONG), holder="load"
)


def messages(first: int, tasks: int, streams: Streams) -> list[Delivered]:
    """Return the messages of whole tasks."""
    return [one for number in range(first, first + tasks) for one in streams.deliver(answered_task(number).events)]


async def appended(dsn: str, messages: list[Delivered]) -> dict[str, float]:
    """Take office and append; return milliseconds to begin, and microseconds an event."""
    store = await Store.open(dsn)
    began = time.perf_counter()
    recorder: Recorder = await begin(store, OFFICE)
    in_office = time.perf_counter()
    for at in range(0, len(messages), BATCH):
        await recorder.record(messages[at : at + BATCH], datetime.now(UTC))
    done = time.perf_counter()
    await store.close()
    return {
        "begin_ms": round(1000 * (in_office - began), 1),
        "append_us_per_event": round(1e6 * (done - in_office) / len(messages), 1),
    }


def copied(dsn: str, messages: list[Delivered]) -> float:
    """Return microseconds an event of the floor: the same bytes by COPY into a plain table, one synchronous commit a batch."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor (seq bigint PRIMARY KEY, canonical bytea)")
        began = time.perf_counter()
        for at in range(0, len(messages), BATCH):
            with connection.transaction(), cursor.copy("COPY floor FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(entry_rows(at, [message.content for message in messages[at : at + BATCH]]))
        spent = time.perf_counter() - began
        cursor.execute("DROP TABLE floor")
    return round(1e6 * spent / len(messages), 1)


def grown(server: PostgresServer, size: int) -> dict[str, Any]:
    """Measure at one size."""
    dsn = server.dsn(name := server.create_database())
    migrate(dsn, delivered_migrations())
    put_in = stocked(dsn, SIGNER, size)
    given = messages(FIRST, APPENDED, Streams(created="2026-11-02T00:00:00Z"))
    floor = copied(dsn, given)
    measured = uvloop.run(appended(dsn, given))
    with psycopg.connect(dsn) as rows:
        bytes_each = rows.execute(
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r'"
        ).fetchall()[0][0]
    server.drop_database(name)
    return {
        "entries": put_in.entries,
        "floor_us_per_event": floor,
        **measured,
        "bytes_per_entry": round(int(bytes_each) / put_in.entries),
    }


def verified(server: PostgresServer, folder: Path, size: int) -> dict[str, Any]:
    """Write a ledger of so many entries with the recorder, and verify it deeply by the command, its start included."""
    dsn = server.dsn(name := server.create_database())
    migrate(dsn, delivered_migrations())
    uvloop.run(appended(dsn, messages(0, size // 8, Streams())))
    trust = folder / "trust.json"
    trust.write_text(Trust(log_keys=(LogKey(key=SIGNER.verifier_key),)).to_json())
    settings = {"TIERPROOF_PG_AUDITOR_DSN": dsn, "TIERPROOF_TRUST_FILE": str(trust)}
    command = [sys.executable, "-m", "tierproof_evidence_ledger", "verify", "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, check=False)
    spent = time.perf_counter() - began
    report = Report.from_json(done.stdout)
    server.drop_database(name)
    if report.faults:
        raise SystemExit(f"the ledger does not verify: {report.faults[0]}")
    return {"entries": report.size, "seconds": round(spent, 2), "entries_per_second": round(report.size / spent)}


def answer(largest: int) -> dict[str, Any]:
    """Return the whole result."""
    described = machine.describe()
    with tempfile.TemporaryDirectory() as scratch:
        server = PostgresServer(Path(scratch), durable=True)
        server.start()
        try:
            sizes = [grown(server, size) for size in SIZES if size <= largest]
            deep = [verified(server, Path(scratch), size) for size in VERIFIED]
        finally:
            server.stop()
    growth = sizes[-1]["append_us_per_event"] / sizes[0]["append_us_per_event"]
    rate = deep[-1]["entries_per_second"]
    return {
        "what": f"{7 * APPENDED} events of new tasks appended to ledgers of growing size, {BATCH} a batch; recorder alone, no broker",
        "machine": described,
        "sizes": sizes,
        "deep_verification": deep,
        "growth": round(growth, 3),
        "targets": {
            "growth_from_smallest_to_largest": {"at_most": MOST_GROWTH, "met": growth <= MOST_GROWTH},
            "verified_per_second": {"at_least": TARGET_VERIFIED, "met": rate >= TARGET_VERIFIED},
        },
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    result = answer(parser.parse_args().largest)
    machine.write("ledger_growth", result)
    for each in result["sizes"]:
        append = f"{each['append_us_per_event']} us an event (floor {each['floor_us_per_event']})"
        print(
            f"{each['entries']:>9} entries: {append}, office in {each['begin_ms']} ms, {each['bytes_per_entry']} bytes each"
        )
    for each in result["deep_verification"]:
        print(f"{each['entries']:>9} entries verified deeply in {each['seconds']} s: {each['entries_per_second']}/s")
    print(f"an entry in the largest costs {result['growth']} of one in the smallest")


if __name__ == "__main__":
    main()
