"""The verifier on the bus: a request comes, its answers are checked, one settlement goes."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import structlog
from tierproof_bus.app import Service
from tierproof_bus.bus import Bus
from tierproof_bus.errors import Transient
from tierproof_bus.messages import Received
from tierproof_contracts.verification import Verdict, VerificationRequestedV1, VerificationSettledV1

from tierproof_verifier import decide
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.errors import InputRefused, SandboxRefused, TooSlow, UnknownKind
from tierproof_verifier.kinds import check_for, verdict_for
from tierproof_verifier.sandbox import opened
from tierproof_verifier.settings import VerifierSettings

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Shell:
    """What a verification needs besides its request: settings, a compiler behind walls, a monotonic clock in seconds, its own name."""

    settings: VerifierSettings
    bench: Bench | SandboxRefused
    clock: Callable[[], float] = time.monotonic
    verifier: str = field(init=False)

    def __post_init__(self) -> None:
        """Say once who these checks are: name, version and judging settings."""
        self.verifier = f"tierproof-verifier/{version('tierproof-verifier')}+{self.settings.judging_digest}"


def service(settings: VerifierSettings) -> Service:
    """Return the service; it opens its sandbox when it starts."""
    app = Service("verifier", settings)
    shell = Shell(settings=settings, bench=SandboxRefused("the sandbox was not opened"))

    @app.at_start
    async def open_bench(_bus: Bus) -> None:
        shell.bench = await bench_of(settings)

    @app.on(VerificationRequestedV1, workers=settings.workers)
    async def settle(request: Received[VerificationRequestedV1], bus: Bus) -> None:
        await settle_verification(request, bus, shell)

    return app


async def settle_verification(request: Received[VerificationRequestedV1], bus: Bus, shell: Shell) -> None:
    """Turn a verification request into its one settlement."""
    asked = request.data
    began = shell.clock()
    verdict = await verdict_of(asked, shell)
    settled = VerificationSettledV1(
        request_id=asked.request_id,
        task_id=asked.task_id,
        tenant=asked.tenant,
        kind=asked.kind,
        verdict=verdict,
        verifier=shell.verifier,
        checking_ms=round(1000 * (shell.clock() - began)),
    )
    published = await bus.publish(settled, cause=request)
    facts = decide.facts_of(verdict)
    log.info("verification.settled", request_id=asked.request_id, kind=asked.kind, stored=published.stored, **facts)


async def verdict_of(asked: VerificationRequestedV1, shell: Shell) -> Verdict:
    """Check the answers of a request; raises `Transient` when the sandbox fails that worked before."""
    inputs = {name: text.text for name, text in asked.inputs.items()}
    try:
        assess = check_for(asked.kind, inputs, seed=asked.request_id, settings=shell.settings, bench=shell.bench)
    except (InputRefused, SandboxRefused, UnknownKind) as error:
        return decide.unverifiable(error)
    try:
        async with asyncio.timeout(shell.settings.request_seconds):
            return await verdict_for(asked.candidates, assess)
    except InputRefused as error:
        return decide.unverifiable(error)
    except TimeoutError:
        return decide.unverifiable(TooSlow(shell.settings.request_seconds))
    except SandboxRefused as error:
        raise Transient(error.diagnosis()) from error


async def bench_of(settings: VerifierSettings) -> Bench | SandboxRefused:
    """Open the sandbox; where it is not to be had, C answers are unverifiable and all other kinds are checked."""
    try:
        sandbox = await opened(
            folders=settings.sandbox_folders,
            account=(settings.sandbox_uid, settings.sandbox_gid),
            allow_weaker=settings.allow_weaker_sandbox,
            probe=settings.compile_limits(),
        )
    except SandboxRefused as refused:
        log.error("sandbox.refused", reason=refused.diagnosis(), unverifiable="embedded-fw-c")  # noqa: TRY400 - no trace needed
        return refused
    return Bench(
        sandbox=sandbox,
        compile_limits=settings.compile_limits(),
        run_limits=settings.run_limits(),
        flags=settings.c_flags,
    )
