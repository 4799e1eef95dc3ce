# ruff: noqa: S608 - tables and commands are this file's own
"""What a role may not do, what a superuser can do, and how verification names it.

A superuser who cuts off the newest entries together with their checkpoints leaves a shorter ledger that is right in itself. Only
somebody who remembers a larger size can tell: here a reader with a checkpoint of its own, for good a witness.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.term import Office
from tierproof_evidence_ledger.testing import REVIEWERS, abstained_task, answered_task, published
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_evidence_ledger.verify import Report, verify
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.trust import Trust

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
TABLES = (
    "entry",
    "ingest_key",
    "tile",
    "checkpoint",
    "term",
    "outcome",
    "outbox",
    "outbox_published",
    "text_key",
    "text_key_erased",
    "sealed_text",
)


@pytest.fixture
async def filled(recorder: Recorder, ledger: Any) -> Any:
    """A ledger with a full tile, several checkpoints, releases, a conflict and a rejected message."""
    streams = Streams()
    await recorder.record(streams.deliver([published(REVIEWERS)]), NOW)
    for number in range(45):
        story = answered_task(number, safety_class="C" if number % 9 == 0 else "A")
        await recorder.record(streams.deliver(story.events), NOW)
    odd = abstained_task(100)
    await recorder.record(streams.deliver([*odd.events, odd.deciding(because="else")["task.decided.v1"]]), NOW)
    await recorder.record([streams.message(f"tierproof.task.submitted.v1.acme.acme_{99:032x}", b"{")], NOW)
    assert recorder.size > 300
    return ledger


@pytest.fixture
def verified(ledger: Any, office: Office) -> Callable[..., Report]:
    trust = Trust(log_keys=(LogKey(key=office.signer.verifier_key),))
    return lambda **known: verify(ledger.dsn("ledger_auditor"), trust, **known)


def as_superuser(ledger: Any, *commands: str) -> None:
    """Change what is stored as only a superuser can: with triggers off."""
    with psycopg.connect(ledger.dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        for command in commands:
            connection.execute(command.encode())


async def test_an_untouched_ledger_verifies(filled: Any, verified: Callable[..., Report]) -> None:
    report = verified()
    assert report.faults == []
    assert (report.size, report.first_bad) == (filled.rows("SELECT count(*) FROM ledger.entry")[0][0], None)


_EDIT = "UPDATE ledger.entry SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), '{}', '{}'), 'UTF8') WHERE seq = {}"
_YEAR = ('"recorded_at":"2026', '"recorded_at":"2027')
# The type of the column cannot be altered in place: a liar takes the expression away and writes the value.
_LIE = """
    ALTER TABLE ledger.entry ALTER COLUMN said DROP EXPRESSION;
    UPDATE ledger.entry SET said.{0} = {1} WHERE seq = 30"""
_SWAP = """
    CREATE TEMP TABLE kept AS SELECT seq, canonical FROM ledger.entry WHERE seq IN (40, 41);
    UPDATE ledger.entry e SET canonical = k.canonical FROM kept k WHERE e.seq = 81 - k.seq AND e.seq IN (40, 41)"""
_ADD = """
    INSERT INTO ledger.entry (seq, canonical)
    SELECT max(seq) + 1, convert_to('{"entry":1,"kind":"advisory","recorded_at":"2026-11-01T00:00:00Z"}', 'UTF8') FROM ledger.entry"""
_NO_JSON = """
    ALTER TABLE ledger.entry ALTER COLUMN said DROP EXPRESSION;
    UPDATE ledger.entry SET canonical = 'x' WHERE seq = 50"""
ATTACKS: dict[str, tuple[str, int | None]] = {
    "an entry in a full tile is edited": (_EDIT.format(*_YEAR, 8), 8),
    "the newest entries are edited": (_EDIT.format(*_YEAR, 310), 310),
    "a digit of a commitment is edited": (_EDIT.format('"size":10', '"size":11', 1), 1),
    "white space is added": (_EDIT.format('"entry":1', '"entry": 1', 20), 20),
    "a generated column lies about the task": (_LIE.format("task_id", "'acme_other'"), 30),
    "a generated column lies about the actor": (_LIE.format("actor", "'nobody'"), 30),
    "a generated column lies about the model": (_LIE.format("digests", "ARRAY['sha256:00']"), 30),
    "a generated column lies about the time": (_LIE.format("recorded_at", "now()"), 30),
    "an entry is deleted": ("DELETE FROM ledger.entry WHERE seq = 17", 17),
    "the first entry is deleted": ("DELETE FROM ledger.entry WHERE seq = 0", 0),
    "the newest entries are deleted": ("DELETE FROM ledger.entry WHERE seq >= 320", 320),
    "two entries change places": (_SWAP, 40),
    "an entry is added": (_ADD, -1),
    "an entry is no JSON": (_NO_JSON, 50),
    "a tile is edited": ("UPDATE ledger.tile SET hashes = sha256('x') || substr(hashes, 33)", None),
    "a tile is deleted": ("DELETE FROM ledger.tile", None),
    "a checkpoint is edited": (
        "UPDATE ledger.checkpoint SET note = replace(note, E'\\n', E'0\\n') WHERE size = (SELECT min(size) FROM ledger.checkpoint)",
        None,
    ),
    "a checkpoint is deleted": (
        "DELETE FROM ledger.checkpoint WHERE size = (SELECT min(size) FROM ledger.checkpoint WHERE size > 20)",
        None,
    ),
    "an outcome is moved to another task": (
        "UPDATE ledger.outcome SET task_id = 'acme_x' WHERE seq = (SELECT min(seq) FROM ledger.outcome)",
        None,
    ),
    "an outcome is deleted": ("DELETE FROM ledger.outcome WHERE seq = (SELECT min(seq) FROM ledger.outcome)", None),
    "a stream position is given to another entry": ("UPDATE ledger.ingest_key SET seq = 3 WHERE seq = 4", 3),
    "a stream position is deleted": ("DELETE FROM ledger.ingest_key WHERE seq = 12", 12),
    "a text is deleted": ("DELETE FROM ledger.sealed_text", 1),
}


@pytest.mark.requirement("LED-append")
@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_a_superuser_changes_is_named(filled: Any, verified: Callable[..., Report], attack: str) -> None:
    command, first_bad = ATTACKS[attack]
    size = filled.rows("SELECT count(*) FROM ledger.entry")[0][0]
    before = filled.rows("SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM ledger.entry t")
    as_superuser(filled, *command.split(";\n"))
    if first_bad is not None and "sealed_text" not in command and "ingest_key" not in command:
        assert filled.rows("SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM ledger.entry t") != before
    report = verified()
    assert report.faults, "nothing was noticed"
    if first_bad is not None:
        assert report.first_bad == (size if first_bad == -1 else first_bad), report.faults[:5]


@pytest.mark.requirement("LED-proof")
async def test_a_cut_tail_is_seen_by_who_remembers_more(
    filled: Any, verified: Callable[..., Report], office: Office
) -> None:
    size, note = filled.rows("SELECT size, note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")[0]
    root = open_checkpoint(note.encode(), [LogKey(key=office.signer.verifier_key)]).root
    keep = filled.rows("SELECT max(size) FROM ledger.checkpoint WHERE size < 300")[0][0]
    cut = [f"DELETE FROM ledger.{table} WHERE seq >= {keep}" for table in ("entry", "ingest_key", "outcome")]
    as_superuser(filled, f"DELETE FROM ledger.checkpoint WHERE size > {keep}", *cut)
    assert verified().faults == [], "the shorter ledger is right in itself: this is what a witness is for"
    report = verified(known={size: root})
    assert report.first_bad == keep


async def test_another_history_is_seen_by_who_remembers_this_one(filled: Any, verified: Callable[..., Report]) -> None:
    size = filled.rows("SELECT min(size) FROM ledger.checkpoint")[0][0]
    assert "another history" in verified(known={size: bytes(32)}).faults[0].what


@pytest.mark.parametrize(
    "command",
    [
        _EDIT.format(*_YEAR, 310),
        "DELETE FROM ledger.entry WHERE seq >= 320",
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


def _refused(ledger: Any, role: str, command: str) -> bool:
    try:
        ledger.rows(command, role=role)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState):
        return True  # no right to, or a view through which nothing can be changed
    return False


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("table", TABLES)
async def test_the_writer_can_add_and_nothing_else(filled: Any, table: str) -> None:
    column = filled.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", f"ledger.{table}"
    )[0][0]
    for command in (
        f"UPDATE ledger.{table} SET {column} = {column}",
        f"DELETE FROM ledger.{table}",
        f"TRUNCATE ledger.{table} CASCADE",
        f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL",
        f"DROP TABLE ledger.{table} CASCADE",
    ):
        assert _refused(filled, "ledger_writer", command), command
    assert not _refused(filled, "ledger_writer", f"SELECT * FROM ledger.{table} LIMIT 1")


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ["ledger_auditor", "ledger_eraser"])
async def test_auditor_and_eraser_reach_no_table(filled: Any, role: str, table: str) -> None:
    for verb in ("SELECT * FROM", "DELETE FROM", "TRUNCATE", "INSERT INTO"):
        command = f"{verb} ledger.{table}" + (" DEFAULT VALUES" if verb.startswith("INSERT") else "")
        assert _refused(filled, role, command), command


@pytest.mark.requirement("LED-query")
async def test_the_auditor_reads_every_view_and_changes_none(filled: Any) -> None:
    views = filled.rows("SELECT table_name FROM information_schema.views WHERE table_schema = 'ledger'")
    assert len(views) >= 9
    for (view,) in views:
        filled.rows(f"SELECT * FROM ledger.{view} LIMIT 1", role="ledger_auditor")
        assert _refused(filled, "ledger_auditor", f"DELETE FROM ledger.{view}")


@pytest.mark.requirement("LED-append")
async def test_even_the_owner_is_held_by_triggers(filled: Any) -> None:
    for table in TABLES:
        column = filled.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", f"ledger.{table}"
        )[0][0]
        commands = [f"TRUNCATE ledger.{table} CASCADE"]
        if filled.rows(f"SELECT count(*) FROM ledger.{table}") != [(0,)]:
            commands.append(f"UPDATE ledger.{table} SET {column} = {column}")
        for command in commands:
            with psycopg.connect(filled.dsn()) as connection:
                connection.execute("SET ROLE ledger_owner")
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                    connection.execute(command.encode())


async def test_the_owner_cannot_log_in(filled: Any) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(filled.dsn("ledger_owner"))


async def test_a_generated_column_cannot_be_written_apart(filled: Any) -> None:
    with pytest.raises(psycopg.errors.GeneratedAlways):
        as_superuser(filled, "UPDATE ledger.entry SET said = NULL WHERE seq = 1")
