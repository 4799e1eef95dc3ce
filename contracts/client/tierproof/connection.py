"""One connection to the broker: publish once, read back, ask the ledger."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import nats.errors
import nkeys
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
PRODUCER = "app-"
_DENIED = re.compile(r'permissions violation for (?:publish|subscription) to "?([^"\s]+)', re.IGNORECASE)
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
        self._denials: dict[str, set[asyncio.Event]] = {}
        self._opening: asyncio.Future[Exception] | None = None

    async def open(self, url: str, seed: Path | None) -> None:
        """Connect, and come back by itself after any later interruption; raises NotReachable at the first refusal."""
        self._opening = asyncio.get_running_loop().create_future()
        options: dict[str, Any] = {
            "servers": [url],
            "name": f"tierproof-{self.user}",
            "inbox_prefix": topology.inbox_of(self.user).encode(),
            "connect_timeout": self.patience,
            "reconnect_time_wait": RECONNECT_SECONDS,
            "max_reconnect_attempts": -1,
            "error_cb": self.heard_error,
        }
        if seed is not None:
            options["nkeys_seed"] = str(seed)
        connecting = asyncio.ensure_future(self.client.connect(**options))
        # nats-py tries the first connection for ever, too: the first complaint ends it.
        both: set[asyncio.Future[Any]] = {connecting, self._opening}
        await asyncio.wait(both, timeout=self.patience, return_when=asyncio.FIRST_COMPLETED)
        failed = connecting.exception() if connecting.done() else None
        if connecting.done() and failed is None:
            self._opening = None
            return
        connecting.cancel()
        if self._opening.done():
            failed = self._opening.result()
        raise not_connected(url, self.user, failed)

    async def heard_error(self, error: Exception) -> None:
        """Take note of what the broker complains about: a refusal comes beside the request, which only times out."""
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(error)
        if (denied := _DENIED.search(str(error))) is not None:
            for heard in self._denials.get(denied[1].lower(), ()):
                heard.set()

    @contextlib.contextmanager
    def _denial_of(self, subject: str) -> Iterator[asyncio.Event]:
        heard, waiting = asyncio.Event(), self._denials.setdefault(subject.lower(), set())
        waiting.add(heard)
        try:
            yield heard
        finally:
            waiting.discard(heard)
            if not waiting:
                self._denials.pop(subject.lower(), None)

    async def request(
        self, subject: str, content: bytes, headers: dict[str, str] | None = None, patience: float | None = None
    ) -> Msg:
        """Send a request and return the reply; raises NotPermitted at once when the broker denies it."""
        limit = patience or self.patience
        try:
            with self._denial_of(subject) as denial:
                return await self._unless_denied(denial, subject, content, headers, limit)
        except nats.errors.NoRespondersError:
            raise NotReachable(f"nobody answers on {subject}: is the stack up and set up? (tierproof doctor)") from None
        except nats.errors.MaxPayloadError:
            raise TooLarge(len(content), int(self.client.max_payload)) from None
        except (nats.errors.Error, OSError) as error:
            raise NotReachable(f"no answer on {subject} within {limit:g} s ({type(error).__name__})") from None

    async def _unless_denied(
        self, denial: asyncio.Event, subject: str, content: bytes, headers: dict[str, str] | None, limit: float
    ) -> Msg:
        asking = asyncio.ensure_future(self.client.request(subject, content, timeout=limit, headers=headers))
        denied = asyncio.ensure_future(denial.wait())
        try:
            await asyncio.wait({asking, denied}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise NotPermitted(subject, self.user)
            return await asking
        finally:
            asking.cancel()
            denied.cancel()

    @contextlib.asynccontextmanager
    async def hearing(self, subject: str, callback: Any = None) -> AsyncIterator[Any]:  # noqa: ANN401 - nats-py has no types
        """Subscribe while the block runs; raises NotPermitted."""
        with self._denial_of(subject) as denial:
            try:
                subscription = await self.client.subscribe(subject, cb=callback)
                # A refusal comes before the answer to a ping that follows the subscription; nats-py's first ping may overtake it.
                for _ in range(2):
                    await self.client.flush(round(self.patience) or 1)
            except (nats.errors.Error, OSError) as error:
                raise NotReachable(f"cannot hear {subject} ({type(error).__name__})") from None
            if denial.is_set():
                raise NotPermitted(subject, self.user)
        try:
            yield subscription
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

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
        subject = subjects.asked_of_ledger(question.name, self.user)
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


def not_connected(url: str, user: str, failed: BaseException | None) -> NotReachable:
    """Return the error of a connection that did not come about: what was wrong, and what mends it."""
    at = re.sub(r"//[^@/]*@", "//", url)  # never a password
    if isinstance(failed, nats.errors.AuthorizationError) or "authorization" in str(failed).lower():
        return NotReachable(
            f"the broker at {at} does not know the credentials of {user}: name others with --credentials"
        )
    return NotReachable(f"no broker answers at {at} ({type(failed).__name__}); start it with: tierproof up")


def refuse_unusable(seed: Path) -> None:
    """Raise ClientError when a file is no NKey seed."""
    if not seed.is_file():
        raise ClientError(f"credentials: {seed} is no file; name an NKey seed file")
    try:
        nkeys.from_seed(bytearray(seed.read_bytes().strip())).wipe()
    except (nkeys.NkeysError, ValueError, OSError) as error:
        raise ClientError(f"credentials: {seed} is no NKey seed ({type(error).__name__})") from None


@contextlib.asynccontextmanager
async def connected(
    url: str,
    *,
    credentials: Path | str | None,
    user: str | None = None,
    patience: float = 5.0,
) -> AsyncIterator[Connection]:
    """Open a connection as one user; raises NotReachable, and ClientError for credentials that are none."""
    seed = Path(credentials) if credentials is not None else None
    if seed is not None:
        refuse_unusable(seed)
    name = user or (user_of(seed) if seed else "anonymous")
    connection = Connection(Client(), name, patience)
    try:
        await connection.open(url, seed)
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

    `credentials` is the file of an NKey seed; the tenant follows from its name (`app-demo.nk`) unless told otherwise.
    Raises ClientError, NotReachable, NotPermitted.
    """
    from tierproof.fleet import Fleet  # noqa: PLC0415 - fleet builds on this module

    owner = tenant or _tenant_in(credentials)
    async with connected(url, credentials=credentials, user=f"{PRODUCER}{owner}", patience=patience) as connection:
        fleet = Fleet(connection, owner, actor or connection.user)
        async with fleet.listening():
            yield fleet


def _tenant_in(credentials: Path | str | None) -> str:
    user = user_of(Path(credentials)) if credentials is not None else ""
    if not user.startswith(PRODUCER):
        raise ClientError("whose program is this? name the tenant: connect(..., tenant='demo')")
    return user.removeprefix(PRODUCER)
