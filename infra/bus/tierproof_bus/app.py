"""A service: handlers on durables, a bus to answer with, and one way to start and stop."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import nats.errors
import structlog
import uvloop
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.msg import Msg
from tierproof_contracts import topology
from tierproof_contracts.envelope import Event
from tierproof_contracts.subjects import every

from tierproof_bus import health, logs, telemetry
from tierproof_bus.bus import Bus
from tierproof_bus.consume import Settling, as_it_came, raw_of
from tierproof_bus.documents import signers_in
from tierproof_bus.errors import BusError, NotSetUp
from tierproof_bus.link import Link, connection_options, security_of
from tierproof_bus.messages import Raw, Received, read
from tierproof_bus.settings import BusSettings
from tierproof_bus.streams import JetStreams

_log = structlog.get_logger()
E = TypeVar("E", bound=Event)
Handler = Callable[[Received[E], Bus], Awaitable[None]]
RawHandler = Callable[[Raw, Bus], Awaitable[None]]
Step = Callable[[Bus], Coroutine[Any, Any, None]]

STOPPED, LOST_CONSUMERS, COULD_NOT_START = 0, 70, 78  # sysexits.h: EX_SOFTWARE, EX_CONFIG


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A handler on a durable, and how many deliveries it works on at once."""

    consumer: topology.Consumer
    work: RawHandler
    workers: int


class Service:
    """A named service of the topology. Register handlers with `on`, then `run`."""

    def __init__(self, name: str, settings: BusSettings) -> None:
        self.name = name
        self.settings = settings
        self.registrations: list[Registration] = []
        self.ready_when: list[Callable[[], bool]] = []
        self._at_start: list[Step] = []
        self._alongside: list[Step] = []

    def on(self, event: type[E], *, workers: int = 8) -> Callable[[Handler[E]], Handler[E]]:
        """Handle an event; the durable that hears it comes from the topology. Raises NotSetUp when none does."""
        consumer = _durable_for(self.name, event)

        def register(handler: Handler[E]) -> Handler[E]:
            async def work(raw: Raw, bus: Bus) -> None:
                received = read(raw, event)
                envelope = received.envelope
                with (
                    telemetry.handling(envelope.type, raw.headers, envelope.traceparent),
                    logs.about(event_id=envelope.id, task_id=envelope.subject, correlation=envelope.correlationid),
                ):
                    await handler(received, bus)

            self.registrations.append(Registration(consumer=consumer, work=work, workers=workers))
            return handler

        return register

    def on_raw(self, durable: str, *, workers: int = 1) -> Callable[[RawHandler], RawHandler]:
        """Handle messages that are no events of ours, such as the broker's advisories, by durable name."""
        consumer = next((c for c in topology.consumers_of(self.name) if c.durable == durable), None)
        if consumer is None:
            raise NotSetUp(f"{self.name} has no durable {durable!r} in topology.py")

        def register(handler: RawHandler) -> RawHandler:
            self.registrations.append(Registration(consumer=consumer, work=handler, workers=workers))
            return handler

        return register

    def at_start(self, step: Step) -> Step:
        """Run a step once, connected and before the first delivery."""
        self._at_start.append(step)
        return step

    def alongside(self, step: Step) -> Step:
        """Run a step next to the handlers until the service stops; when it ends by itself the service ends too, with 70."""
        self._alongside.append(step)
        return step

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then exit: 0 stopped in order, 70 consumers lost, 78 could not start."""
        logs.configure(self.settings.log_level, service=self.name)
        telemetry.configure(self.name)
        sys.exit(uvloop.run(self._until_signalled()))

    async def _until_signalled(self) -> int:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await self.serve(stop)

    async def serve(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set or the consumers are lost; return the exit code."""
        link = Link(self.name, self.settings)
        watch = health.Watch(self.name, link, self.settings, self.registrations, self.ready_when)
        async with contextlib.AsyncExitStack() as stack:
            if self.settings.http_port is not None:
                await stack.enter_async_context(health.served(watch, self.settings))
            try:
                bus = Bus(JetStreams(link), self.settings, signers_in(self.settings.trust_file))
                broker = _broker(link, self.settings)
                if not await _unless(stop, _connected(broker)):
                    return STOPPED
                stack.push_async_callback(_stopped, broker)
                _reconnect_for_ever(broker, link)
                await self._start(broker, bus, watch)
            except BusError as error:
                _log.error("service.refused_to_start", reason=error.diagnosis())
                return COULD_NOT_START
            lost = await _first(stop, watch.run(), *(step(bus) for step in self._alongside))
        _log.info("service.stopped", lost=lost)
        return LOST_CONSUMERS if lost else STOPPED

    async def _start(self, broker: NatsBroker, bus: Bus, watch: health.Watch) -> None:
        """Check the broker, run the first steps, and start the handlers."""
        await health.refuse_unsynced(self.settings)
        settling = Settling(bus=bus, delays=self.settings.retry_delays, ack_wait=await watch.ack_waits())
        broker.add_middleware(settling)
        for registration in self.registrations:
            _subscribe(broker, registration, bus, self.settings)
        for step in self._at_start:
            await step(bus)
        await broker.start()
        watch.started = True
        _log.info("service.started", durables=[r.consumer.durable for r in self.registrations])


def _durable_for(service: str, event: type[Event]) -> topology.Consumer:
    wanted = every(event.event_type).removesuffix(">")
    for consumer in topology.consumers_of(service):
        if any(pattern.startswith(wanted) for pattern in consumer.filters):
            return consumer
    raise NotSetUp(f"{service} has no durable for {event.event_type} in topology.py")


def _broker(link: Link, settings: BusSettings) -> NatsBroker:
    return NatsBroker(
        **connection_options(link, settings),
        security=security_of(settings),
        logger=None,
        apply_types=False,
        decoder=as_it_came,
        graceful_timeout=settings.grace_seconds,
        ack_policy=AckPolicy.MANUAL,
    )


async def _connected(broker: NatsBroker) -> None:
    try:
        await broker.connect()
    except nats.errors.Error as error:
        raise NotSetUp(
            f"the broker refuses the connection ({error}); is TIERPROOF_NKEY_SEED_FILE this user's?"
        ) from None


def _reconnect_for_ever(broker: NatsBroker, link: Link) -> None:
    """Go on with the broker's connection. FastStream's callback raises on a refused log-in, which would end nats-py's reconnecting."""
    broker.connection._error_cb = link.on_error  # noqa: SLF001 - set before FastStream wrapped it
    link.use(broker.connection)


def _subscribe(broker: NatsBroker, registration: Registration, bus: Bus, settings: BusSettings) -> None:
    """Give each worker a pull of its own for one message.

    So no delivery waits in a local queue where its ack_wait runs out, and no slow one holds others back
    (FastStream's max_workers does the first, its batches the second).
    """
    consumer = registration.consumer

    async def work(message: Msg) -> None:
        await registration.work(raw_of(message), bus)

    for _ in range(registration.workers):
        broker.subscriber(
            consumer.filters[0],
            stream=JStream(consumer.stream, declare=False),
            durable=consumer.durable,
            pull_sub=PullSub(batch_size=1, timeout=settings.pull_seconds),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=f"{topology.inbox_of(bus.user)}.".encode(),
            no_reply=True,
        )(work)


async def _unless(stop: asyncio.Event, starting: Awaitable[Any]) -> bool:
    """Wait for a start, unless told to stop first."""
    task, stopping = asyncio.ensure_future(starting), asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    return False


async def _first(stop: asyncio.Event, *endless: Coroutine[Any, Any, None]) -> bool:
    """Wait for the order to stop (False), or for something that should never end (True); raises what it raised."""
    stopping = asyncio.create_task(stop.wait())
    running = [asyncio.create_task(step) for step in endless]
    both: set[asyncio.Task[Any]] = {stopping, *running}
    done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in both - done:
        task.cancel()
    await asyncio.gather(*(both - done), return_exceptions=True)
    for task in done:
        task.result()
    return stopping not in done


async def _stopped(broker: NatsBroker) -> None:
    """Take no more deliveries, let the running handlers end and settle, then drain the connection.

    All durables at once: FastStream stops them one after the other, and the later ones would go on taking messages. Whoever is
    not done within the grace is cancelled, and its message goes back at once.
    """
    await asyncio.gather(*(subscriber.stop() for subscriber in broker.subscribers))
    await broker.stop()
