"""An auditor with the command, a broker with the topology's permissions, and a ledger that answers."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.aio.client import Client
from tierproof import exporting
from tierproof.cli.export import check, verifier_file
from tierproof.connection import Connection, connected
from tierproof.errors import NoAnswer, NotPermitted, RefusedByLedger
from tierproof_contracts.audit import ExportedEntries, ExportEntriesAsked, History, HistoryAsked, HistoryRow
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.questions import Entries, Proof, ProofAsked, SearchAsked, Story, StoryAsked
from tierproof_contracts.subjects import asked_of_ledger
from tierproof_contracts.topology import inbox_of, stream_of
from tierproof_embedded.testing import NatsServer
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.questions import Answers, serve_questions
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.testing import REVIEWERS, answered_task, published
from tierproof_evidence_ledger.testing_log import Stock, entry_about
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.tlog_proof import LogPolicy, verify_proof
from tierproof_proofs.trust import Trust

SIGNER = NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"log key seed, for tests only 32b"))
TRUST = Trust(log_keys=(LogKey(key=SIGNER.verifier_key),))
NOON = "2026-11-01T12:00:00.000000Z"
TASKS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run of the command left."""

    code: int
    out: str
    err: str


async def _verified() -> Report:
    return Report()


@pytest.fixture
async def stock(broker: NatsServer, ledger: Any) -> AsyncIterator[Stock]:
    """A log of some tasks, and a ledger that answers questions about it on the broker."""
    with psycopg.connect(ledger.dsn()) as connection:
        stock = Stock(connection, SIGNER)
        events = [event for number in range(TASKS) for event in answered_task(number).events]
        stock.append([entry_about(event, NOON, n) for n, event in enumerate(events)])

        async def note(event_type: str, data: dict[str, Any]) -> int:
            event = {
                "id": f"x{stock.size}",
                "type": event_type,
                "source": "evidence-ledger",
                "time": NOON,
                "data": data,
            }
            return stock.append([canonical_json({"entry": 1, "kind": "act", "recorded_at": NOON, "event": event})])

        seed = str(broker.seed_file("evidence-ledger"))
        inbox = inbox_of("evidence-ledger").encode()
        client = await nats.connect(broker.bare_url, nkeys_seed=seed, inbox_prefix=inbox)
        answers = Answers(ledger.dsn("ledger_auditor"), _verified, note, page_bytes=50_000)
        serving = asyncio.create_task(serve_questions(client, answers))
        await client.flush()
        yield stock
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await client.close()


@pytest.fixture
def tierproof(broker: NatsServer, stock: Stock, tmp_path: Path) -> Callable[..., Awaitable[Ran]]:
    """Run `tierproof ARGUMENTS` as the auditor, in a process of its own."""
    trust = tmp_path / "trust.json"
    trust.write_text(TRUST.to_json())
    place = {
        "TIERPROOF_NATS_URL": broker.bare_url,
        "TIERPROOF_CREDENTIALS": str(broker.seed_file("auditor")),
        "TIERPROOF_TRUST": str(trust),
    }

    async def run(*arguments: object) -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tierproof.cli", *map(str, arguments)),
            env=place,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Ran(code=process.returncode or 0, out=out.decode(), err=err.decode())

    return run


@pytest.mark.requirement("LED-query")
async def test_an_auditor_searches_to_the_end_and_is_recorded(
    stock: Stock, tierproof: Callable[..., Awaitable[Ran]]
) -> None:
    size = stock.size
    ran = await tierproof("ledger", "query", "--all", "--limit", 100, "--reason", "a complaint", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert [entry["index"] for entry in found["entries"]] == list(range(size + 1))
    own = found["entries"][-1]["data"]
    assert (own["actor"], own["question"], own["reason"]) == ("auditor", "search", "a complaint")
    ran = await tierproof("ledger", "query", "--actor", "auditor", "--newest-first", "--limit", 1)
    assert ran.code == 0
    assert "ledger.queried.v1" in ran.out
    ran = await tierproof("ledger", "query", "--as-of", 3)
    assert len(ran.out.splitlines()) == 4


@pytest.mark.requirement("LED-query")
@pytest.mark.parametrize("filters", [(), ("--tenant", "acme", "--type", "task.decided.v1")])
@pytest.mark.parametrize("name", ["pack", "pack.zip"])
@pytest.mark.part11("11.10(b)")
async def test_a_pack_is_written_and_verifies(
    stock: Stock, tierproof: Callable[..., Awaitable[Ran]], tmp_path: Path, filters: tuple[str, ...], name: str
) -> None:
    size = stock.size
    ran = await tierproof("ledger", "export", "--to", name, *filters, "--json")
    assert ran.code == 0, ran
    said = json.loads(ran.out)
    assert (said["size"], said["entries"], said["made_by"]) == (size + 1, TASKS if filters else size + 1, "auditor")
    assert said["verified"]
    assert (tmp_path / name).exists()
    assert "entries: " in ran.err
    assert stock.size == size + 1, "one export is one entry"


@pytest.mark.requirement("LED-query")
@pytest.mark.part11("11.10(a)")
async def test_a_damaged_pack_is_named(stock: Stock, tierproof: Callable[..., Awaitable[Ran]], tmp_path: Path) -> None:
    other = Trust(
        log_keys=(LogKey(key=NoteSigner(name=SIGNER.name, signer=Ed25519Signer.from_seed(bytes(32))).verifier_key),)
    )
    (tmp_path / "other.json").write_text(other.to_json())
    ran = await tierproof("ledger", "export", "--to", "pack", "--trust", "other.json")
    assert ran.code == 1
    assert "does NOT verify" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.requirement("S9-gate")
@pytest.mark.part11("11.10(d)")
async def test_a_tenants_program_may_ask_for_proofs_alone(broker: NatsServer, stock: Stock) -> None:
    size = stock.size
    async with connected(broker.bare_url, credentials=broker.seed_file("app-acme")) as program:
        found = await program.ask(ProofAsked(index=3), Proof)
        proven = verify_proof(found.proof, base64.b64decode(found.entry), LogPolicy(log_keys=TRUST.log_keys))
        assert proven.index == 3
        for question, answer in (
            (SearchAsked(), Entries),
            (StoryAsked(task_id=answered_task(1).task_id), Story),
            (HistoryAsked(record="log-key"), History),
            (ExportEntriesAsked(), ExportedEntries),
        ):
            with pytest.raises(NotPermitted):
                await program.ask(question, answer)
    assert stock.size == size


async def test_a_question_without_an_inbox_is_left_alone(broker: NatsServer, stock: Stock) -> None:
    client = await nats.connect(broker.url)
    size = stock.size
    await client.publish("tierproof.ask.ledger.v1.search.tester", b"{}")
    await client.request("tierproof.ask.ledger.v1.proof.tester", b'{"index": 0}')
    assert stock.size == size
    await client.close()


@pytest.mark.part11("11.10(h)")
@pytest.mark.requirement("LED-query")
async def test_nobody_asks_in_another_name(broker: NatsServer, stock: Stock) -> None:
    size = stock.size
    async with connected(broker.bare_url, credentials=broker.seed_file("auditor")) as auditor:
        for name in ("registry", "reviewer", "*", "auditor.more"):
            with pytest.raises(NotPermitted):
                await auditor.request(asked_of_ledger("search", name), b"{}")
    assert stock.size == size


@pytest.mark.requirement("LED-query")
async def test_a_ledger_at_work_is_carried_away(
    running: LedgerSettings, broker: NatsServer, everyone: Client, tmp_path: Path
) -> None:
    assert running.trust_file is not None
    trust = Trust.from_json(running.trust_file.read_text())
    story = answered_task(1)
    for event in (published(REVIEWERS), *story.events):
        subject = event.data.subject()
        await everyone.jetstream().publish(subject, event.to_bytes(), stream=stream_of(subject))
    question = ExportEntriesAsked(reason="inspection", task_id=story.task_id)
    wanted = exporting.Wanted(
        question=question,
        trust=trust,
        verifier=verifier_file().read_bytes(),
        made_by="auditor",
        made_at=NOON,
        proofs=100,
    )
    async with connected(broker.bare_url, credentials=broker.seed_file("auditor")) as auditor, asyncio.timeout(20):
        while "released: answered" not in [row.new for row in await told(auditor, story.task_id)]:  # noqa: ASYNC110 - a question is all that a reader has
            await asyncio.sleep(0.1)
        for number in range(100):
            with contextlib.suppress(RefusedByLedger, NoAnswer):
                said = await exporting.export(auditor.ask, tmp_path / f"pack{number}", wanted, lambda *_: None)
                if said["entries"] == len(story.events) + 1:
                    break
            await asyncio.sleep(0.1)
        whole = replace(wanted, question=ExportEntriesAsked())
        await exporting.export(auditor.ask, tmp_path / "whole.zip", whole, lambda *_: None)
        own = await auditor.ask(SearchAsked(actor="auditor", event_type="ledger.queried.v1"), Entries)
    for name in ("whole.zip", f"pack{number}"):
        report = await asyncio.to_thread(check, tmp_path / name, running.trust_file)
        assert report["verified"], report
    folder = tmp_path / f"pack{number}"
    open_checkpoint((folder / "checkpoint").read_bytes(), trust.log_keys)
    for line in (folder / "entries.jsonl").read_bytes().splitlines():
        index, entry = json.loads(line)["index"], line[line.index(b'"entry":') + 8 : -1]
        assert verify_proof((folder / f"proofs/{index}.tlog-proof").read_text(), entry, trust.log_policy).index == index
    assert {entry.data["question"] for entry in own.entries} == {"history", "export-entries", "search"}
    assert any(entry.data.get("reason") == "inspection" for entry in own.entries)


async def told(auditor: Connection, task_id: str) -> list[HistoryRow]:
    """Return a task's history, nothing while the ledger is not in office."""
    with contextlib.suppress(RefusedByLedger, NoAnswer):
        return list((await auditor.ask(HistoryAsked(record=f"task:{task_id}"), History)).rows)
    return []
