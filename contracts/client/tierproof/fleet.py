"""Submitting tasks and hearing their released results."""

import asyncio
import contextlib
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import ValidationError
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import read_event, schema_name
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.errors import ContractError, explain_validation
from tierproof_contracts.ids import UNDECLARED, task_id_of, written
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import LARGEST_INLINE, Text

from tierproof.connection import Connection
from tierproof.errors import AlreadySubmitted, BadTask, ClientError, NotReachable, NotYet, RefusedByLedger, TooLarge
from tierproof.results import Result, proven

SALT_BYTES = 16
LOOK_AGAIN = 1.0
TRIES = 3
RESULTS = "RESULT"
_SUBMISSIONS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:submission")


class Task:
    """A submitted task."""

    def __init__(self, fleet: "Fleet", task_id: str) -> None:
        self._fleet = fleet
        self.task_id = task_id

    async def released(self, timeout: float) -> Result:  # noqa: ASYNC109 - a caller's time-out is part of the interface
        """Return the released outcome; raises NotYet after `timeout` seconds (the task goes on)."""
        return await self._fleet.result_of(self.task_id, timeout)


class Fleet:
    """A tenant's view of the fleet."""

    def __init__(self, connection: Connection, tenant: str, actor: str) -> None:
        self.connection = connection
        self.tenant = tenant
        self.actor = actor
        self._waiting: dict[str, asyncio.Future[Result]] = {}

    @contextlib.asynccontextmanager
    async def listening(self) -> "AsyncIterator[Fleet]":
        """Hear the tenant's results while the block runs."""
        async with self.connection.hearing(self._results, self._heard):
            yield self

    @property
    def _results(self) -> str:
        return subjects.every("result.released.v1", self.tenant)

    async def _heard(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rsplit(".", 1)[1])
        if future is not None and not future.done():
            with contextlib.suppress(ContractError):
                future.set_result(Result.read(message.data))

    async def submit(
        self,
        *,
        safety_class: str,
        prompt: str,
        kind: str | None = None,
        inputs: Mapping[str, str] | None = None,
        key: str | None = None,
        time_allowed: float | None = None,
        actor: str | None = None,
        redrives: str | None = None,
    ) -> Task:
        """Publish a task and return when the broker has stored it.

        With an idempotency `key`, repeating the call returns the same task; another content under the same key raises
        AlreadySubmitted. Without a key, each call is a task of its own. Without a `kind` the triage model reads one from the prompt,
        where the policy allows it. `time_allowed` in seconds; `actor` is the person or program behind it. Raises BadTask naming the
        field, TooLarge, NotPermitted, NotReachable.
        """
        task_id = task_id_of(self.tenant, key) if key is not None else f"{self.tenant}_{secrets.token_hex(16)}"
        try:
            task = TaskSubmittedV1(
                tenant=self.tenant,
                task_id=task_id,
                kind=kind or UNDECLARED,
                safety_class=safety_class,
                prompt=_text(prompt),
                inputs={name: _text(text) for name, text in (inputs or {}).items()},
                time_allowed_ms=round(time_allowed * 1000) if time_allowed is not None else None,
                actor=actor or self.actor,
                redrives=redrives,
            )
        except ValidationError as error:
            raise BadTask(explain_validation(error)) from None
        size = task.prompt.size + sum(text.size for text in task.inputs.values())
        if size > LARGEST_INLINE:
            raise TooLarge(size, LARGEST_INLINE)
        if not await self._published(self._envelope(task)):
            await self._refuse_other(task)
        return Task(self, task_id)

    def _envelope(self, task: TaskSubmittedV1) -> Envelope[TaskSubmittedV1]:
        return Envelope(
            id=str(uuid.uuid5(_SUBMISSIONS, task.task_id)),
            type=task.event_type,
            source=self.connection.user,
            subject=task.task_id,
            time=written(datetime.now(UTC)),
            dataschema=schema_name(task.event_type),
            correlationid=task.task_id,
            data=task,
        )

    async def _published(self, envelope: Envelope[TaskSubmittedV1]) -> bool:
        for _ in range(TRIES - 1):
            try:
                return await self.connection.publish_once(envelope)
            except NotReachable:  # stored or not: the same event again finds out
                continue
        return await self.connection.publish_once(envelope)

    async def _refuse_other(self, task: TaskSubmittedV1) -> None:
        stored = await self.connection.last(task.subject())
        if stored is None:  # a replica that has not heard of it yet; the first submission stands
            return
        try:
            first = read_event(stored).data
        except ContractError:
            first = None
        differs = _difference(first, task) if isinstance(first, TaskSubmittedV1) else "content"
        if differs:
            raise AlreadySubmitted(task.task_id, differs)

    async def result_of(self, task_id: str, patience: float) -> Result:
        """Return a task's released outcome, waiting `patience` seconds for it; raises NotYet."""
        future = self._waiting.setdefault(task_id, asyncio.get_running_loop().create_future())
        subject = subjects.result_released(self.tenant, task_id)
        try:
            async with asyncio.timeout(patience):
                while not future.done():
                    stored = await self.connection.last(
                        subject
                    )  # released before we listened, or while the broker was away
                    if stored is not None:
                        return Result.read(stored)
                    await asyncio.wait({future}, timeout=LOOK_AGAIN)
                return future.result()
        except TimeoutError:
            raise NotYet(f"{task_id}: no outcome within {patience:g} s; it goes on, ask again later") from None
        finally:
            self._waiting.pop(task_id, None)

    async def prove(self, result: Result, patience: float = 10.0) -> Result:
        """Return the result with its proof, waiting until a checkpoint covers it; raises RefusedByLedger, NoAnswer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            try:
                return await proven(self.connection, result)
            except RefusedByLedger as refused:
                if refused.code not in {"not-yet", "not-found"} or loop.time() > until:
                    raise
            await asyncio.sleep(LOOK_AGAIN / 4)

    async def results(
        self, *, kind: str | None = None, durable: str | None = None, count: int | None = None
    ) -> AsyncIterator[Result]:
        """Yield released results as they come; with `count`, end after so many.

        With `durable`, from where this consumer left off; each is acknowledged when the next one is asked for, so a result whose
        turn did not end comes again. The operator grants durables by name in the topology (`results` is there from the start);
        another name raises NotPermitted.
        """
        seen = 0
        async with contextlib.AsyncExitStack() as stack:
            if durable is None:
                messages = (await stack.enter_async_context(self.connection.hearing(self._results))).messages
            else:
                messages = _pulled(await self._durable(durable))
            async for message in messages:
                result = Result.read(message.data)
                if kind is None or result.released.kind == kind:
                    seen += 1
                    yield result
                if durable is not None:
                    await message.ack()
                if seen == count:
                    return

    async def _durable(self, durable: str) -> Any:  # noqa: ANN401 - nats-py has no types
        name = f"{self.connection.user}--{durable}"
        config = ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=self._results,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
        )
        wish = json.dumps({"stream_name": RESULTS, "config": config.as_dict()}).encode()
        reply = await self.connection.request(f"$JS.API.CONSUMER.CREATE.{RESULTS}.{name}.{self._results}", wish)
        error = json.loads(reply.data).get("error")
        if error is not None:
            raise ClientError(f"durable {name}: {error.get('description')}")
        return await self.connection.client.jetstream().pull_subscribe_bind(durable=name, stream=RESULTS)


async def _pulled(subscription: Any) -> AsyncIterator[Msg]:  # noqa: ANN401 - nats-py has no types
    while True:
        try:
            # One at a time: what a consumer has fetched and leaves behind would come again only after the broker's ack wait.
            for message in await subscription.fetch(1, timeout=LOOK_AGAIN):
                yield message
        except TimeoutError:
            continue
        except (nats.errors.Error, nats.js.errors.Error):  # the broker is away, or not itself yet
            await asyncio.sleep(LOOK_AGAIN)


def _text(text: str) -> Text:
    return Text(text=text, salt=secrets.token_hex(SALT_BYTES))


def _difference(first: TaskSubmittedV1, second: TaskSubmittedV1) -> str | None:
    """Return the first field in which two submissions differ, salts aside."""
    if first.prompt.text != second.prompt.text:
        return "prompt"
    if {name: text.text for name, text in first.inputs.items()} != {
        name: text.text for name, text in second.inputs.items()
    }:
        return "inputs"
    same = ("kind", "safety_class", "time_allowed_ms", "redrives")
    return next((name for name in same if getattr(first, name) != getattr(second, name)), None)
