"""A sequencer and the ledger's acts under attack: it does not write on after tampering, and nobody rotates its key from a database."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import structlog
from psycopg.types.json import Jsonb
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.term import Office
from tierproof_evidence_ledger.testing import answered_task
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_evidence_ledger.verify import verify
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
STRANGER = NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"nobody's log key, for tests only"))


@pytest.fixture
async def filled(recorder: Recorder, ledger: Any) -> Any:
    """A ledger with a full tile and several checkpoints."""
    streams = Streams()
    for number in range(40):
        await recorder.record(streams.deliver(answered_task(number).events), NOW)
    assert recorder.size > 300
    return ledger


def as_superuser(ledger: Any, command: str, *values: Any) -> None:
    """Change what is stored as only a superuser can: with triggers off."""
    with psycopg.connect(ledger.dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(command.encode(), values or None)


_EDIT = "UPDATE ledger.entry SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), '2026', '2027'), 'UTF8') WHERE seq = 310"


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize(
    "command",
    [
        _EDIT,
        "DELETE FROM ledger.entry WHERE seq >= 310",
        "DELETE FROM ledger.checkpoint",
        "DELETE FROM ledger.tile",
        "UPDATE ledger.tile SET hashes = sha256('x') || substr(hashes, 33)",
    ],
)
async def test_a_sequencer_does_not_write_on_after_tampering(
    filled: Any, start: Callable[[], Any], command: str
) -> None:
    as_superuser(filled, command)
    with pytest.raises(Corrupted, match="verify"):
        await start()


@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("kind", ["ledger.rotated.v1", "ledger.restored.v1", "ledger.verified.v1"])
async def test_nobody_can_do_in_the_database_what_only_the_log_can(
    recorder: Recorder, ledger: Any, office: Office, start: Callable[[], Any], kind: str
) -> None:
    """A rotation that a superuser writes among the acts is recorded as what it is, and no reader follows it."""
    await recorder.record(Streams().deliver(answered_task(1).events), NOW)
    said = {
        "old": str(office.signer.verifier_key),
        "key": str(STRANGER.verifier_key),
        "from": 9,
        "until_old": 10,
        "texts_lost": ["hmac-sha256:" + "0" * 64],
    }
    as_superuser(ledger, "INSERT INTO ledger.act (type, said) VALUES (%s, %s)", kind, Jsonb(said))
    with structlog.testing.capture_logs() as logs:
        await recorder.record([], NOW)
    assert [line["type"] for line in logs if line["event"] == "ledger.act"] == ["ledger.altered.v1"]
    assert ledger.rows("SELECT count(*) FROM ledger.v_entry WHERE event_type = %s", kind) == [(0,)]
    await (await start()).record(Streams(created="2026-11-02T00:00:00Z").deliver(answered_task(2).events), NOW)
    report = verify(ledger.dsn("ledger_auditor"), Trust(log_keys=(LogKey(key=office.signer.verifier_key),)))
    assert {fault.what for fault in report.faults} == {
        "the act is not the one that was done in the database",
        f"{kind} is nothing that is done in a database",
    }


@pytest.mark.parametrize("said", ["[]", "7", '"x"', "null"])
async def test_an_act_that_says_nothing_readable_stops_nobody(recorder: Recorder, ledger: Any, said: str) -> None:
    as_superuser(ledger, "INSERT INTO ledger.act (type, said) VALUES ('ledger.held.v1', %s::jsonb)", said)
    await recorder.record([], NOW)
    assert ledger.rows("SELECT event_type FROM ledger.v_entry") == [("ledger.altered.v1",)]


@pytest.mark.part11("11.10(e)")
@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize(
    "command",
    [
        "ALTER TABLE ledger.entry DISABLE TRIGGER append_only",
        "DROP TRIGGER never_emptied ON ledger.outcome",
        "GRANT DELETE ON ledger.entry TO ledger_writer",
        "REVOKE SELECT ON ledger.v_tile FROM ledger_auditor",
        "GRANT CREATE ON SCHEMA ledger TO ledger_writer",
        "ALTER TABLE ledger.tile OWNER TO postgres",
        "CREATE OR REPLACE VIEW ledger.v_outcome AS SELECT ''::text AS task_id, 0::bigint AS seq, ''::text AS status, ''::text AS decision",
        "CREATE TABLE ledger.beside (x int)",
    ],
)
async def test_a_change_of_the_schema_becomes_an_entry_and_an_alert(
    running: LedgerSettings, ledger: Any, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT entry #> '{event,data}' FROM ledger.v_entry WHERE event_type = 'ledger.altered.v1'"
    ledger.rows(command)
    async with asyncio.timeout(10):
        while not (found := ledger.rows(query)):  # noqa: ASYNC110 - the table is all that tells
            await asyncio.sleep(0.05)
    assert found[0][0]["actor"] == "postgres"
    assert found[0][0]["command"].split()[0] in command
    async with asyncio.timeout(5):
        while "ledger.altered.v1" not in capsys.readouterr().out:  # noqa: ASYNC110 - written by another task
            await asyncio.sleep(0.05)
