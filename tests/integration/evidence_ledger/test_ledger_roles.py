# ruff: noqa: S608 - names of the catalogue
"""Every role tries every verb on everything in the schema: what is not listed here is refused, and so is whatever comes later."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

ROLES = ("ledger_writer", "ledger_auditor", "ledger_eraser", "ledger_holder")
APPENDED = frozenset(
    """entry stream ingest_key tile checkpoint published_checkpoint time_stamp term outcome outbox outbox_published sealed_text
    act_recorded text_key""".split()  # noqa: SIM905 - a list of words
)
READ_BY_WRITER = APPENDED | {"text_key_erased", "hold", "hold_lifted", "act"}
VIEWS = frozenset(
    """v_entry v_outcome v_checkpoint v_published_checkpoint v_time_stamp v_tile v_ingest_key v_sealed_text v_erasure v_hold v_act
    v_outbox v_outbox_orphan v_term v_gap v_schema""".split()  # noqa: SIM905
)
ALLOWED: dict[str, dict[str, frozenset[str]]] = {
    "ledger_writer": {"SELECT": READ_BY_WRITER, "INSERT": APPENDED},
    "ledger_auditor": {"SELECT": VIEWS},
    "ledger_eraser": {},
    "ledger_holder": {"SELECT": frozenset({"v_hold"})},
}
# Functions that anybody may call do nothing by themselves: what they work on is what the caller has.
OPEN_TO_ALL = {"json_of(bytea)", "said_in(bytea)", "need_reason(text,text)", "need_tenant(text)", "refuse_change()"}
CALLS: dict[str, set[str]] = {
    "ledger_writer": {"make_room(bigint)"},
    "ledger_auditor": set(),
    "ledger_eraser": {"erase_texts_of(text,text,text)"},
    "ledger_holder": {"place_hold(text,text,text)", "lift_hold(uuid,text,text)"},
}
Refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
Ledger = Any  # LedgerDatabase of conftest.py


def relations(ledger: Ledger) -> list[tuple[str, str]]:
    """Return name and kind of everything in the schema that holds or shows rows, and of sequences."""
    query = """SELECT relname, relkind::text FROM pg_class
               WHERE relnamespace = 'ledger'::regnamespace AND relkind NOT IN ('i', 'I', 'c') ORDER BY 1"""
    return [(name, kind) for name, kind in ledger.rows(query)]


def functions(ledger: Ledger) -> list[str]:
    query = "SELECT replace(p.oid::regprocedure::text, 'ledger.', '') FROM pg_proc p WHERE pronamespace = 'ledger'::regnamespace ORDER BY 1"
    return [name for (name,) in ledger.rows(query)]


def verbs(ledger: Ledger, name: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield what can be tried on a relation: the verb and the command."""
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1"
    column = ledger.rows(query, f"ledger.{name}")[0][0]
    what = {"v": "VIEW", "S": "SEQUENCE", "m": "MATERIALIZED VIEW"}.get(kind, "TABLE")
    yield "SELECT", f"SELECT 1 FROM ledger.{name} LIMIT 1"
    yield "INSERT", f"INSERT INTO ledger.{name} ({column}) SELECT NULL WHERE false"
    yield "UPDATE", f"UPDATE ledger.{name} SET {column} = {column} WHERE false"
    yield "DELETE", f"DELETE FROM ledger.{name} WHERE false"
    yield "LOCK", f"LOCK ledger.{name} IN EXCLUSIVE MODE"
    yield "TRUNCATE", f"TRUNCATE ledger.{name} CASCADE"
    yield "REFERENCES", f"CREATE TEMP TABLE refers (x bigint REFERENCES ledger.{name})"
    yield "TRIGGER", f"CREATE TRIGGER mine BEFORE INSERT ON ledger.{name} EXECUTE FUNCTION ledger.refuse_change()"
    yield "COPY", f"COPY ledger.{name} TO PROGRAM 'true'"
    yield "ALTER", f"ALTER {what} ledger.{name} RENAME TO mine"
    yield "OWN", f"ALTER {what} ledger.{name} OWNER TO CURRENT_USER"
    yield "DROP", f"DROP {what} ledger.{name} CASCADE"
    yield "COMMENT", f"COMMENT ON {what} ledger.{name} IS 'mine'"


def outcome(connection: psycopg.Connection[Any], command: str) -> str:
    """Return what comes of a command that is undone: done, refused, or the name of another error."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(command.encode())
    except Refused:
        return "refused"
    except psycopg.Error as error:
        return type(error).__name__
    return "done"


@pytest.mark.requirement("LED-append")
@pytest.mark.part11("11.10(d)")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_what_is_listed_and_nothing_else(ledger: Ledger, role: str) -> None:
    tried = 0
    with psycopg.connect(ledger.dsn(role), autocommit=True) as connection:
        for name, kind in relations(ledger):
            for verb, command in verbs(ledger, name, kind):
                listed = name in ALLOWED[role].get(verb, ())
                came = outcome(connection, command)
                if listed:
                    assert came in ("done", "GeneratedAlways"), (command, came)
                elif came == "done":
                    pytest.fail(f"{role} may: {command}")
                else:
                    right = f"SELECT has_table_privilege('ledger.{name}', '{verb}')"
                    if verb in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
                        assert connection.execute(right.encode()).fetchone() == (False,), command
                    assert came == "refused" or verb in ("REFERENCES", "TRIGGER", "TRUNCATE", "LOCK"), (command, came)
                tried += 1
    assert tried > 300


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_calls_what_is_listed_and_nothing_else(ledger: Ledger, role: str) -> None:
    with psycopg.connect(ledger.dsn(role), autocommit=True) as connection:
        for function in functions(ledger):
            may = connection.execute("SELECT has_function_privilege(%s, 'EXECUTE')", [f"ledger.{function}"]).fetchone()
            assert may == (function in CALLS[role] | OPEN_TO_ALL,), function


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_makes_nothing_in_the_schema_and_gives_nothing_away(ledger: Ledger, role: str) -> None:
    commands = [
        "CREATE TABLE ledger.mine (x int)",
        "CREATE VIEW ledger.mine AS SELECT 1",
        "CREATE FUNCTION ledger.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SEQUENCE ledger.mine",
        "CREATE TYPE ledger.mine AS (x int)",
        "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "ALTER FUNCTION ledger.said_in(bytea) OWNER TO CURRENT_USER",
        "DROP FUNCTION ledger.refuse_change() CASCADE",
        "DROP SCHEMA ledger CASCADE",
        "DROP EVENT TRIGGER ledger_altered",
        "ALTER EVENT TRIGGER ledger_altered DISABLE",
        "SET session_replication_role = replica",
        "SET ROLE ledger_owner",
        "GRANT ledger_owner TO CURRENT_USER",
        "ALTER ROLE ledger_writer SUPERUSER",
        "CREATE ROLE ledger_mine",
        "CREATE EXTENSION file_fdw",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/never'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    ]
    with psycopg.connect(ledger.dsn(role), autocommit=True) as connection:
        came = {command: outcome(connection, command) for command in commands}
        assert {command: how for command, how in came.items() if how != "refused"} == {}
        connection.execute("SET client_min_messages = error")
        for name, _ in relations(ledger):
            outcome(
                connection, f"GRANT ALL ON ledger.{name} TO PUBLIC"
            )  # a warning, and nothing, where some right is held
    assert ledger.rows(
        "SELECT count(*) FROM information_schema.table_privileges WHERE table_schema = 'ledger' AND grantee = 'PUBLIC'"
    ) == [(0,)]


def test_what_nobody_has_listed_is_open_to_nobody(ledger: Ledger) -> None:
    """A new table, view or function must be put into the lists above before this passes again."""
    parts = {
        name
        for (name,) in ledger.rows(
            "SELECT relname FROM pg_class WHERE relispartition AND relnamespace = 'ledger'::regnamespace"
        )
    }
    assert {name for name, _ in relations(ledger)} - parts == READ_BY_WRITER | VIEWS
    known = OPEN_TO_ALL.union(*CALLS.values()) | {"note_alteration()"}
    assert set(functions(ledger)) == known


@pytest.mark.requirement("LED-append")
@pytest.mark.part11("11.10(e)")
def test_even_the_owner_is_held_by_triggers(ledger: Ledger) -> None:
    with psycopg.connect(ledger.dsn(), autocommit=True) as connection:
        connection.execute("INSERT INTO ledger.hold (tenant, reason, placed_by) VALUES ('a', 'b', 'c')")
        connection.execute(
            "INSERT INTO ledger.text_key VALUES (gen_random_uuid(), 'a', decode(repeat('00', 60), 'hex'))"
        )
        connection.execute("SET ROLE ledger_owner")
        for name, kind in relations(ledger):
            if kind != "v":
                assert outcome(connection, f"TRUNCATE ledger.{name} CASCADE") == "refused", name
        assert outcome(connection, "UPDATE ledger.hold SET tenant = 'b'") == "refused"
        assert outcome(connection, "DELETE FROM ledger.hold") == "refused"
        assert outcome(connection, "UPDATE ledger.text_key SET tenant = 'b'") == "refused"
        guarded = (
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname IN ('append_only', 'no_update')"
        )
        for name in READ_BY_WRITER:
            assert connection.execute(guarded, [f"ledger.{name}"]).fetchone() == (1,), name


def test_the_owner_cannot_log_in(ledger: Ledger) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(ledger.dsn("ledger_owner"))


def test_a_generated_column_cannot_be_written_apart(ledger: Ledger) -> None:
    with psycopg.connect(ledger.dsn()) as connection, pytest.raises(psycopg.errors.GeneratedAlways):
        connection.execute("UPDATE ledger.entry SET said = NULL WHERE seq = 1")


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_an_act_by_itself(ledger: Ledger, role: str) -> None:
    command = "INSERT INTO ledger.act (type, said) VALUES ('ledger.rotated.v1', '{}')"
    with psycopg.connect(ledger.dsn(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(command)
