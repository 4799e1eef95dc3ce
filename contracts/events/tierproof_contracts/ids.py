"""Identifiers: their form, and how each is derived from what caused it."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema


def _real_instant(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("no such day or time") from None
    return text


Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
TaskId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}_[0-9a-f]{32}$")]
RequestId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
EventId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Commitment = Annotated[str, StringConstraints(pattern=r"^hmac-sha256:[0-9a-f]{64}$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
UNDECLARED = "undeclared"  # the kind of a task whose producer named none
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]
InputName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Service = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
# [0-9] and not \d, which takes the digits of every script.
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"
Instant = Annotated[
    str,
    StringConstraints(pattern=_INSTANT),
    AfterValidator(_real_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _INSTANT}),
]
Decimal = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$")]

_REQUESTS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:request")


def written(moment: datetime) -> str:
    """Return a moment as an `Instant`: UTC, microseconds (RFC 3339). `moment` knows its zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def task_id_of(tenant: str, key: str) -> str:
    """Return the task id that a tenant's idempotency key always leads to."""
    return f"{tenant}_{hashlib.sha256(f'{tenant}/{key}'.encode()).hexdigest()[:32]}"


def tenant_of(task_id: str) -> str:
    """Return the tenant that owns a task id; ids of two tenants can therefore never collide."""
    return task_id.rsplit("_", 1)[0]


def request_id_of(task_id: str, step: str, number: int) -> str:
    """Return the id of a task's n-th request of a step (`inference`, `verification`).

    It depends on the attempt and not on the choice made, so a redelivered event that would choose otherwise
    meets the request that is already stored.
    """
    return str(uuid.uuid5(_REQUESTS, f"{task_id}/{step}/{number}"))


def event_id_of(causation_id: str, event_type: str, ordinal: int = 0) -> str:
    """Return the id of the n-th event of a type that another event causes."""
    return str(uuid.uuid5(uuid.UUID(causation_id), f"{event_type}/{ordinal}"))
