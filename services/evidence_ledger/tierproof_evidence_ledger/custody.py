"""The custody of texts: whoever may erase their keys or hold them does it here, by name and with a reason; each deed becomes an act."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors

from tierproof_evidence_ledger.errors import LedgerError

HOLDS = """
SELECT hold_id, tenant, reason, placed_by, placed_for, placed_at, lifted_because, lifted_by, lifted_for, lifted_at
FROM ledger.v_hold ORDER BY placed_at"""


class UnderHold(LedgerError):
    """A legal hold keeps texts from being erased."""


class NoSuchHold(LedgerError):
    """There is no such hold, or it was lifted before."""


class DeedRefused(LedgerError):
    """The database did not let it happen: nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold on a tenant's texts: while it is there, none of their keys is erased. `lifted_at` is None while it is there.

    `placed_by` and `lifted_by` are database roles, `placed_for` and `lifted_for` the names that people gave.
    """

    hold_id: UUID
    tenant: str
    reason: str
    placed_by: str
    placed_for: str | None
    placed_at: datetime
    lifted_because: str | None
    lifted_by: str | None
    lifted_for: str | None
    lifted_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {name: value if value is None else str(value) for name, value in plain.items()}


def erase(dsn: str, tenant: str, reason: str, on_behalf_of: str | None = None) -> int:
    """Destroy the keys of a tenant's texts, for ever, and return how many; none: nothing was there, and no act is made.

    `dsn` is that of ledger_eraser. Raises UnderHold and DeedRefused.
    """
    with _deed(dsn) as rows:
        try:
            done = rows.execute("SELECT ledger.erase_texts_of(%s, %s, %s)", [tenant, reason, on_behalf_of]).fetchone()
        except errors.ObjectInUse as error:
            raise UnderHold(
                f"nothing was erased: the texts of {tenant} are under legal hold {error.diag.message_detail}; lift it first"
            ) from None
    return int(done[0]) if done else 0


def place_hold(dsn: str, tenant: str, reason: str, on_behalf_of: str | None = None) -> UUID:
    """Hold a tenant's texts and return the hold's id. `dsn` is that of ledger_holder. Raises DeedRefused."""
    with _deed(dsn) as rows:
        made = rows.execute("SELECT ledger.place_hold(%s, %s, %s)", [tenant, reason, on_behalf_of]).fetchone()
    if made is None:
        raise DeedRefused("the database gave the hold no id")
    return UUID(str(made[0]))


def lift_hold(dsn: str, hold: UUID, reason: str, on_behalf_of: str | None = None) -> None:
    """Lift a hold. `dsn` is that of ledger_holder. Raises NoSuchHold and DeedRefused."""
    with _deed(dsn) as rows:
        try:
            rows.execute("SELECT ledger.lift_hold(%s, %s, %s)", [hold, reason, on_behalf_of])
        except errors.ForeignKeyViolation:
            raise NoSuchHold(f"there is no hold {hold}; `holds` lists them") from None
        except errors.UniqueViolation:
            raise NoSuchHold(f"hold {hold} was lifted before; `holds` says by whom") from None


def holds(dsn: str) -> list[Hold]:
    """Return every hold there was, the oldest first. `dsn` is that of ledger_holder or ledger_auditor. Raises DeedRefused."""
    with _deed(dsn) as rows:
        return [Hold(**dict(zip(Hold.__slots__, row, strict=True))) for row in rows.execute(HOLDS)]


@contextmanager
def _deed(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """One transaction; what the database says against it becomes a sentence."""
    try:
        with psycopg.connect(dsn) as connection:
            yield connection
    except psycopg.Error as error:
        said = error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeedRefused(f"nothing was done: {said}") from None
