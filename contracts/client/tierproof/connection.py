"""One connection to the broker: publish once, read back, ask the ledger."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError
from tierproof_contracts import subjects, topology
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.questions import Question, Reply, Shape

from tierproof.errors import ClientError, NoAnswer, NotPermitted, NotReachable, RefusedByLedger, TooLarge

if TYPE_CHECKING:
    from tierproof.fleet import Fleet

TAKEN = (10071, 10077)  # wrong last sequence; maximum messages per subject
TOO_LARGE = 10054
RECONNECT_SECONDS = 0.25
AnswerT = TypeVar("AnswerT", bound=Shape)


def user_of(credentials: Path) -> str:
    """Return the NATS user that a seed file is named after (`app-demo.nk` is `app-demo`)."""
    return credentials.stem


class Connection:
    """A user's connection. Every method raises NotReachable when the broker does not answer within `patience` seconds."""

    def __init__(self, client: Client, user: str, patience: float) -> None:
        self.client = client
        self.user = user
        self.patience = patience
        self._denied = asyncio.Event()

    async def heard_error(self, error: Exception) -> None:
        """Take note of a refusal: the broker says it beside the request, which only times out."""
        if "permissions violation" in str(error).lower():
            self._denied.set()

    async def request(
        self, subject: str, content: bytes, headers: dict[str, str] | None = None, patience: float | None = None
    ) -> Msg:
        """Send a request and return the reply; raises NotPermitted at once when the broker denies it."""
        self._denied.clear()
        limit = patience or self.patience
        asking = asyncio.ensure_future(self.client.request(subject, content, timeout=limit, headers=headers))
        denied = asyncio.ensure_future(self._denied.wait())
        try:
            await asyncio.wait({asking, denied}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise NotPermitted(subject)
            return await asking
        except nats.errors.NoRespondersError:
            raise NotReachable(f"nobody answers on {subject}: is the stack up and set up? (tierproof doctor)") from None
        except nats.errors.MaxPayloadError:
            raise TooLarge(len(content), int(self.client.max_payload)) from None
        except (nats.errors.Error, OSError) as error:
            raise NotReachable(f"no answer on {subject} within {limit} s ({type(error).__name__})") from None
        finally:
            asking.cancel()
            denied.cancel()

    async def publish_once(self, envelope: Envelope[Any]) -> bool:
        """Store an event on its subject; False when the subject is taken. Raises TooLarge, NotPermitted, NotReachable."""
        subject = envelope.data.subject()
        headers = {
            "Nats-Msg-Id": envelope.id,
            "Nats-Expected-Stream": topology.stream_of(subject),
            "Nats-Expected-Last-Subject-Sequence": "0",
        }
        content = envelope.to_bytes()
        if len(content) > int(self.client.max_payload):
            raise TooLarge(len(content), int(self.client.max_payload))
        reply = json.loads((await self.request(subject, content, headers)).data)
        error = reply.get("error")
        if error is None:
            return not reply.get("duplicate", False)
        if error.get("err_code") in TAKEN:
            return False
        if error.get("err_code") == TOO_LARGE:
            raise TooLarge(len(content), int(self.client.max_payload))
        raise NotReachable(f"the broker refused {subject}: {error.get('description')}")

    async def last(self, subject: str) -> bytes | None:
        """Return the stored message of a subject, None when there is none."""
        reply = await self.request(f"$JS.API.DIRECT.GET.{topology.stream_of(subject)}.{subject}", b"")
        return reply.data if "Nats-Sequence" in (reply.headers or {}) else None

    async def ask(self, question: Question, answer: type[AnswerT], patience: float | None = None) -> AnswerT:
        """Ask the evidence ledger; raises RefusedByLedger, NoAnswer, NotPermitted."""
        subject = subjects.asked_of_ledger(question.name)
        try:
            reply = await self.request(subject, question.model_dump_json(exclude_none=True).encode(), patience=patience)
        except NotReachable:
            raise NoAnswer("the evidence ledger does not answer: is it up? (tierproof doctor)") from None
        try:
            said = Reply[answer].model_validate_json(reply.data)  # type: ignore[valid-type]  # chosen by the caller
        except ValidationError as error:
            raise NoAnswer(f"the ledger's answer cannot be read: {explain_validation(error)}") from None
        if said.refused is not None:
            raise RefusedByLedger(said.refused.code, said.refused.message)
        if said.answer is None:
            raise NoAnswer("the ledger's answer is empty")
        return said.answer


@contextlib.asynccontextmanager
async def connected(
    url: str,
    *,
    credentials: Path | str | None,
    user: str | None = None,
    patience: float = 5.0,
) -> AsyncIterator[Connection]:
    """Open a connection as one user; raises NotReachable."""
    seed = Path(credentials) if credentials is not None else None
    if seed is not None and not seed.exists():
        raise ClientError(f"credentials: {seed} does not exist")
    name = user or (user_of(seed) if seed else "anonymous")
    connection = Connection(Client(), name, patience)
    options: dict[str, Any] = {"connect_timeout": patience, "reconnect_time_wait": RECONNECT_SECONDS}
    if seed is not None:
        options["nkeys_seed"] = str(seed)
    try:
        await connection.client.connect(
            servers=[url],
            name=f"tierproof-{name}",
            inbox_prefix=topology.inbox_of(name).encode(),
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            error_cb=connection.heard_error,
            **options,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise NotReachable(f"no broker at {url} ({type(error).__name__}); start it with: tierproof up") from None
    try:
        yield connection
    finally:
        await connection.client.close()


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    credentials: Path | str | None = None,
    tenant: str | None = None,
    actor: str | None = None,
    patience: float = 5.0,
) -> "AsyncIterator[Fleet]":
    """Open the fleet for a tenant's program.

    `credentials` is the file of an NKey seed; tenant and user follow from its name (`app-demo.nk`) unless told otherwise.
    Raises NotReachable.
    """
    from tierproof.fleet import Fleet  # noqa: PLC0415 - fleet builds on this module

    async with connected(
        url, credentials=credentials, user=f"app-{tenant}" if tenant else None, patience=patience
    ) as connection:
        fleet = Fleet(connection, tenant or connection.user.removeprefix("app-"), actor or connection.user)
        async with fleet.listening():
            yield fleet
