"""The worker on the bus: a request comes, the pinned model answers or a reason is given, one settlement goes."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from tierproof_bus import Bus, NotSetUp, Received, Service
from tierproof_bus.bus import utc_now
from tierproof_contracts.inference import Completed, InferenceRequestedV1, InferenceSettledV1, NotCompleted

from tierproof_inference_worker import decide
from tierproof_inference_worker.adapters import AdapterFolder
from tierproof_inference_worker.errors import OutOfTime, ProfileMismatch, ServerDown, ServerTrouble
from tierproof_inference_worker.profiles import PROFILES
from tierproof_inference_worker.settings import InferenceWorkerSettings
from tierproof_inference_worker.triton import ModelServer, Patience

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Shell:
    """What a request needs besides its words: the server, the adapters, clocks, and whether the last probe succeeded.

    `server` is the tier's own model, `also` are further ones by name. `troubled` wakes the prober before its time: a request has met a
    backend that is dead.
    """

    settings: InferenceWorkerSettings
    server: ModelServer
    adapters: AdapterFolder
    also: Mapping[str, ModelServer] = field(default_factory=dict)
    now: Callable[[], datetime] = utc_now
    clock: Callable[[], float] = time.monotonic
    is_ready: bool = False
    troubled: asyncio.Event = field(default_factory=asyncio.Event)

    def behind(self, model: str) -> ModelServer:
        """Return the model that a request names; the tier's own for a name that is not served here, which it then refuses."""
        return self.also.get(model, self.server)


def shell_of(settings: InferenceWorkerSettings) -> Shell:
    """Return the outside world of a worker, not connected yet."""
    patience = Patience(
        first=settings.first_seconds, idle=settings.idle_seconds, call=settings.call_seconds, load=settings.load_seconds
    )

    def model(name: str) -> ModelServer:
        return ModelServer(url=settings.triton_url, model=name, profile=PROFILES[settings.profile], patience=patience)

    return Shell(
        settings=settings,
        server=model(settings.model_name),
        also={name: model(name) for name in settings.also_models},
        adapters=AdapterFolder(folder=settings.adapters_folder, on_server=settings.adapters_on_server),
    )


def service(settings: InferenceWorkerSettings) -> Service:
    """Return the service. It starts while its server is down, and is ready once a probe has generated a token."""
    app, shell = Service(settings.user, settings), shell_of(settings)
    app.ready_when.append(lambda: shell.is_ready)

    @app.at_start
    async def compare_with_profile(_bus: Bus) -> None:
        await refuse_unfit(shell)

    @app.alongside
    async def watch_server(_bus: Bus) -> None:
        await keep_probing(shell)

    @app.on(InferenceRequestedV1, workers=settings.workers)
    async def settle(request: Received[InferenceRequestedV1], bus: Bus) -> None:
        await settle_request(request, bus, shell)

    return app


async def settle_request(request: Received[InferenceRequestedV1], bus: Bus, shell: Shell) -> None:
    """Turn a request into its one settlement."""
    if request.attempt > 1 and await is_settled(request.data, bus):
        return
    settlement = await settlement_of(request.data, shell)
    published = await bus.publish(decide.settled(request.data, settlement), cause=request)
    code = settlement.code if isinstance(settlement, NotCompleted) else None
    log.info(
        "inference.settled",
        request_id=request.data.request_id,
        status=settlement.status,
        code=code,
        stored=published.stored,
    )


async def is_settled(asked: InferenceRequestedV1, bus: Bus) -> bool:
    """Tell whether an earlier delivery got as far as publishing: generating twice would be waste."""
    subject = decide.settled(asked, decide.failed("crashed", "", again=False)).subject()
    return await bus.read(InferenceSettledV1, subject) is not None


async def settlement_of(asked: InferenceRequestedV1, shell: Shell) -> Completed | NotCompleted:
    """Ask the server until it answers, refuses, or the deadline passes.

    A backend that died is asked once more, after it was recovered; a request that meets a second death may be its cause.
    """
    last: ServerTrouble = OutOfTime("the deadline has passed")
    deaths = 0
    while (seconds := decide.seconds_left(asked.deadline, shell.now())) > 0:
        try:
            async with asyncio.timeout(seconds):
                return await answered(asked, shell, seconds)
        except TimeoutError:
            return decide.failure_of(OutOfTime("the deadline passed during the generation"))
        except ServerDown as down:
            last = down
            await asyncio.sleep(min(shell.settings.retry_seconds, seconds))
        except ServerTrouble as trouble:
            deaths += decide.is_death(trouble)
            if not decide.is_death(trouble) or deaths > shell.settings.deaths_survived:
                return decide.failure_of(trouble)
            last = trouble
            await until_recovered(shell, decide.seconds_left(asked.deadline, shell.now()))
    return decide.failure_of(last)


async def until_recovered(shell: Shell, seconds: float) -> None:
    """Wake the prober and wait until it has generated a token, at most `seconds`."""
    shell.is_ready = False
    shell.troubled.set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0)):
            while not shell.is_ready:  # noqa: ASYNC110 - many requests wait for one prober, each with its own deadline
                await asyncio.sleep(shell.settings.retry_seconds)


async def answered(asked: InferenceRequestedV1, shell: Shell, seconds: float) -> Completed | NotCompleted:
    """Ask once: only a server that holds the pinned model before and after its answer is believed."""
    server = shell.behind(asked.model.name)
    before = await server.describe()
    if (refused := decide.refusal(asked, before)) is not None:
        return refused
    lora = await asyncio.to_thread(shell.adapters.verified, asked.model.adapter) if asked.model.adapter else None
    began = shell.clock()
    generated = await server.generate_all(decide.orders_of(asked, lora), before.able, seconds, asked.request_id)
    took = round(1000 * (shell.clock() - began))
    if (refused := decide.refusal(asked, await server.describe())) is not None:
        return refused
    return decide.completed(asked, generated, generation_ms=took, replica=shell.settings.replica)


async def refuse_unfit(shell: Shell) -> None:
    """Raise NotSetUp when a server is there and has other tensors than the profile; one that is down may come later."""
    try:
        await shell.server.describe()
    except ProfileMismatch as error:
        raise NotSetUp(f"{error.diagnosis()}; choose another TIERPROOF_INFERENCE_WORKER_PROFILE") from None
    except ServerTrouble as trouble:
        log.warning("server.not_there_yet", reason=type(trouble).__name__)


async def keep_probing(shell: Shell) -> None:
    """Generate one token now and then; when the backend is dead or streams stall, have the model loaded again."""
    while True:
        own = (*shell.settings.recovered_models, shell.settings.model_name)
        models = [(shell.server, own), *((server, (name,)) for name, server in shell.also.items())]
        shell.is_ready = all([await _is_well(server, behind, shell) for server, behind in models])
        await _until_next_probe(shell)


async def _is_well(server: ModelServer, models: tuple[str, ...], shell: Shell) -> bool:
    try:
        await server.probe(shell.settings.probe_text)
    except ServerTrouble as trouble:
        shell.is_ready = False
        said = decide.failure_of(trouble)
        log.warning("server.not_ready", model=models[-1], code=said.code, reason=said.detail, stalls=server.stalls)
        if decide.is_death(trouble) or server.stalls >= shell.settings.stalls_before_recovery:
            await recover(server, models)
        return False
    return True


async def _until_next_probe(shell: Shell) -> None:
    shell.troubled.clear()
    pause = shell.settings.probe_every_seconds if shell.is_ready else shell.settings.retry_seconds
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause):
            await shell.troubled.wait()


async def recover(server: ModelServer, models: tuple[str, ...]) -> None:
    """Unload and load models in this order, what is behind a tier before it; what goes wrong is tried again after the next probe."""
    try:
        await server.recover(models)
    except ServerTrouble as trouble:
        reason = decide.failure_of(trouble).detail
        log.error("model.not_recovered", reason=reason)  # noqa: TRY400 - a trace would hold the server's words
