"""The same first questions to the bare base: what the adapters are worth, counted beside the evidence."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tierproof_contracts.documents import FleetManifest, RoutingPolicy, TierSpec
from tierproof_inference_worker.errors import ServerTrouble
from tierproof_inference_worker.handlers import shell_of
from tierproof_inference_worker.profiles import Capabilities, Order
from tierproof_inference_worker.settings import InferenceWorkerSettings
from tierproof_inference_worker.triton import ModelServer
from tierproof_router.prompts import question
from tierproof_verifier.handlers import bench_of
from tierproof_verifier.kinds import Assess, check_for
from tierproof_verifier.settings import VerifierSettings

from tierproof_embedded.demo_tasks import DemoTask
from tierproof_embedded.documents import fleet_folder, read_document
from tierproof_embedded.stack import Stack

AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """How many of the tasks that an adapter answers first the bare base gets right at the first attempt."""

    asked: int
    right: int


async def without_adapters(stack: Stack, tasks: Sequence[DemoTask], patience: float) -> Bare:
    """Ask the first tier of each task that has an adapter, without it; the verifier's checks judge."""
    folder = stack.settings.fleet or fleet_folder()
    policy, fleet = read_document(folder / "routing-policy.json"), read_document(folder / "fleet-manifest.json")
    if not isinstance(policy, RoutingPolicy) or not isinstance(fleet, FleetManifest):
        return Bare(asked=0, right=0)
    gate, bench = asyncio.Semaphore(AT_ONCE), await bench_of(verifier := VerifierSettings())

    async def one(task: DemoTask, tier: TierSpec, server: ModelServer, able: Capabilities) -> bool:
        assess = check_for(task.kind, task.inputs, seed=task.title, settings=verifier, bench=bench)
        async with gate:
            return await _is_right(_order(task, policy, tier), server, able, assess, patience)

    chosen = [(task, tier) for task in tasks if (tier := _first_tier(task, policy)) is not None]
    servers = {tier: await _server_of(stack, tier) for tier in {tier for _, tier in chosen}}
    try:
        right = await asyncio.gather(*(one(task, fleet.tiers[tier], *servers[tier]) for task, tier in chosen))  # type: ignore[index]
    finally:
        for server, _ in servers.values():
            await server.close()
    return Bare(asked=len(chosen), right=sum(right))


def _first_tier(task: DemoTask, policy: RoutingPolicy) -> str | None:
    """Return the tier that answers a task first, when it does so with an adapter."""
    kind = policy.kinds.get(task.kind)
    if kind is None:
        return None
    first = kind.classes[task.safety_class].ladder[0]
    return first if first in kind.adapters else None


async def _server_of(stack: Stack, tier: str) -> tuple[ModelServer, Capabilities]:
    settings = InferenceWorkerSettings(tier=tier, triton_url=stack.endpoints.triton_url)
    server = shell_of(settings).server
    return server, (await server.describe()).able


def _order(task: DemoTask, policy: RoutingPolicy, tier: TierSpec) -> Order:
    kind = policy.kinds[task.kind]
    return Order(
        text=question(kind, task.prompt, task.inputs),
        max_tokens=tier.decode.max_tokens,
        temperature_micro=tier.decode.temperature_micro,
        top_p_micro=tier.decode.top_p_micro,
        top_k=None,
        seed=0,
        schema=task.inputs.get(kind.answer_schema_input) if kind.answer_schema_input else None,
    )


async def _is_right(order: Order, server: ModelServer, able: Capabilities, assess: Assess, patience: float) -> bool:
    try:
        said = await server.generate(order, able, patience, "demo-without-adapter")
    except ServerTrouble:
        return False
    return said.finish_reason == "stop" and (await assess(said.text)).passed
