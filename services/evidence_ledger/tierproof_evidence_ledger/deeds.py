"""Deeds that people did in a database that was lost: done again in the restored one, as the log tells them.

Above all erasures: a backup still holds keys that were erased after it was made, and they must go again before anything else.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

_REMEMBER = "INSERT INTO ledger.act (act_id, type, said, done_at) VALUES (%(id)s, %(type)s, %(said)s, %(time)s) ON CONFLICT DO NOTHING"
_AGAIN: Mapping[str, tuple[str, ...]] = {
    "ledger.erased.v1": (
        """INSERT INTO ledger.text_key_erased (key_id, tenant, reason, erased_by, erased_at)
           SELECT key_id, %(tenant)s, %(reason)s, %(actor)s, %(time)s FROM unnest(%(keys)s::uuid[]) key_id ON CONFLICT DO NOTHING""",
        "DELETE FROM ledger.text_key WHERE key_id = ANY (%(keys)s::uuid[])",
    ),
    "ledger.held.v1": (
        """INSERT INTO ledger.hold (hold_id, tenant, reason, placed_by, placed_at)
           VALUES (%(hold)s, %(tenant)s, %(reason)s, %(actor)s, %(time)s) ON CONFLICT DO NOTHING""",
    ),
    "ledger.unheld.v1": (
        """INSERT INTO ledger.hold_lifted (hold_id, reason, lifted_by, lifted_at)
           VALUES (%(hold)s, %(reason)s, %(actor)s, %(time)s) ON CONFLICT DO NOTHING""",
    ),
}


def redo(owner_dsn: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Do again what the events of acts say, in one transaction; what is done already stays. Raises psycopg.Error."""
    with psycopg.connect(owner_dsn) as connection:
        connection.execute("SET LOCAL ROLE ledger_owner")
        for event in events:
            data = event["data"]
            said = {"id": event["id"], "type": event["type"], "time": event["time"], "said": Jsonb(data)}
            names = {name: data.get(name) for name in ("tenant", "reason", "actor", "keys", "hold")}
            for statement in (_REMEMBER, *_AGAIN.get(event["type"], ())):
                connection.execute(statement.encode(), said | names)
