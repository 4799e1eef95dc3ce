"""A ledger's database as tests see it."""

from dataclasses import dataclass
from typing import Any, Self

import psycopg
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate

ROLES = ("ledger_writer", "ledger_auditor", "ledger_eraser", "ledger_holder")


@dataclass(frozen=True, slots=True)
class LedgerDatabase:
    """DSNs of one ledger, by role."""

    server: PostgresServer
    name: str

    def dsn(self, role: str = "postgres") -> str:
        return self.server.dsn(self.name) if role == "postgres" else self.server.dsn(self.name, role, role)

    def rows(self, query: str, *values: Any, role: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn(role), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    @classmethod
    def migrated(cls, server: PostgresServer, name: str) -> Self:
        """Migrate a database; each role's password is its name."""
        migrate(server.dsn(name), delivered_migrations())
        with psycopg.connect(server.dsn(name), autocommit=True) as connection:
            for role in ROLES:
                connection.execute(f"ALTER ROLE {role} PASSWORD '{role}'".encode())
        return cls(server, name)
