# ruff: noqa: S608 - conditions of this file, no values
"""What the schema is made of, part by part: recorded at each migration, and compared by every deep verification.

`ledger.v_schema` tells columns, triggers, functions, views and rights. It cannot vouch for itself, and does not look at
everything that changes what a table does; the rest is read here from the server's catalogue. Partitions are made as the
ledger grows: all of them together are one part, which stays as it is when one more is like the others.
"""

from hashlib import sha256
from typing import Any

from psycopg import Connection

SERVER = "server"  # a part of its own: another version writes the same schema in other words
SHOWN = 16  # hex digits of a part's digest: enough to tell that it changed, short enough for one entry
_HERE = "relnamespace = 'ledger'::regnamespace"
_WHOLE = f"{_HERE} AND NOT relispartition AND relkind NOT IN ('i', 'I', 'c')"
_PARTITION = f"{_HERE} AND relispartition AND relkind IN ('r', 'p')"
_FORM = """relkind::text || relpersistence::text || relrowsecurity::text || relforcerowsecurity::text || relowner::regrole::text
           || coalesce(reloptions::text, '')"""
_CONSTRAINT = "conname || ' ' || convalidated::text || ' ' || pg_get_constraintdef(k.oid)"
_RULE = "rulename || ' ' || ev_enabled::text || ' ' || md5(pg_get_ruledef(r.oid))"
_POLICY = "polname || ' ' || polcmd::text || coalesce(pg_get_expr(polqual, polrelid), '')"
_TRIGGER = "tgname || ' ' || tgenabled::text || ' ' || tgtype::text || ' ' || tgfoid::regprocedure"
_ATTRIBUTES = ("super", "createrole", "createdb", "canlogin", "replication", "bypassrls")
_ROLE = " || ".join(f"rol{name}::text" for name in _ATTRIBUTES)
_FURTHER = (
    f"SELECT '{SERVER}', (current_setting('server_version_num')::int / 10000)::text",
    "SELECT 'view v_schema', md5(pg_get_viewdef('ledger.v_schema'::regclass))",
    f"SELECT 'form ' || relname, {_FORM} FROM pg_class WHERE {_WHOLE}",
    f"""SELECT 'constraints ' || relname, string_agg({_CONSTRAINT}, '; ' ORDER BY conname)
        FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid WHERE {_WHOLE} GROUP BY relname""",
    f"""SELECT 'rights in columns ' || relname, string_agg(attname || ' ' || attacl::text, '; ' ORDER BY attname)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE {_HERE} AND attacl IS NOT NULL GROUP BY relname""",
    f"""SELECT 'rules ' || relname, string_agg({_RULE}, '; ' ORDER BY rulename)
        FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE {_HERE} AND rulename <> '_RETURN' GROUP BY relname""",
    f"""SELECT 'policies ' || relname, string_agg({_POLICY}, '; ' ORDER BY polname)
        FROM pg_policy p JOIN pg_class c ON c.oid = polrelid WHERE {_HERE} GROUP BY relname""",
    f"""SELECT 'unique ' || relname, pg_get_indexdef(indexrelid) || indisvalid::text
        FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE {_HERE} AND NOT relispartition AND indisunique""",
    """SELECT 'function of ' || p.oid::regprocedure, proowner::regrole::text || coalesce(proacl::text, '')
       FROM pg_proc p WHERE pronamespace = 'ledger'::regnamespace""",
    "SELECT 'schema', nspowner::regrole::text || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname = 'ledger'",
    f"""SELECT 'role ' || rolname, {_ROLE} || coalesce(string_agg(roleid::regrole::text, ',' ORDER BY roleid::regrole::text), '')
        FROM pg_roles r LEFT JOIN pg_auth_members m ON m.member = r.oid WHERE rolname LIKE 'ledger\\_%'
        GROUP BY rolname, {", ".join(f"rol{name}" for name in _ATTRIBUTES)}""",
    f"SELECT 'partitions: form', string_agg(DISTINCT {_FORM} || coalesce(relacl::text, ''), '; ') FROM pg_class WHERE {_PARTITION}",
    f"""SELECT 'partitions: triggers', string_agg(DISTINCT found, '; ') FROM (
            SELECT string_agg({_TRIGGER}, ', ' ORDER BY tgname) AS found
            FROM pg_class c LEFT JOIN pg_trigger t ON tgrelid = c.oid WHERE {_PARTITION} GROUP BY c.oid) each""",
)


def parts_of(rows: Connection[Any]) -> dict[str, str]:
    """Return each part of the schema `ledger`, and of its roles, with its digest."""
    found: list[tuple[str, str]] = rows.execute("SELECT part, definition FROM ledger.v_schema").fetchall()
    for query in _FURTHER:
        found += rows.execute(query.encode()).fetchall()
    return {part: sha256((definition or "").encode()).hexdigest()[:SHOWN] for part, definition in found}
