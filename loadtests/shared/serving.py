"""The serving path of tier S: real Triton, real base, the inference worker's client, the verifier's checks."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tierproof_contracts.documents import FleetManifest, RoutingPolicy
from tierproof_inference_worker.adapters import lora_id_of
from tierproof_inference_worker.handlers import shell_of
from tierproof_inference_worker.profiles import Capabilities, Lora, Order
from tierproof_inference_worker.settings import InferenceWorkerSettings
from tierproof_inference_worker.triton import ModelServer
from tierproof_model_server import digests
from tierproof_model_server.adapters import WEIGHTS
from tierproof_model_server.launch import running_server
from tierproof_model_server.prepare import prepare_base
from tierproof_model_server.settings import ModelServerLayout
from tierproof_router.prompts import question
from tierproof_verifier.handlers import bench_of
from tierproof_verifier.kinds import check_for
from tierproof_verifier.settings import VerifierSettings

FLEET = Path(__file__).parents[2] / "infra/fleet"
MODELS = Path(os.environ.get("TIERPROOF_HOME", ".tierproof")) / "models"
SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: the text, whether it ended by itself, and its cumulative log-probability."""

    text: str
    whole: bool
    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A running tier with the shipped policy and manifest, and the verifier's checks."""

    server: ModelServer
    able: Capabilities
    policy: RoutingPolicy
    fleet: FleetManifest
    adapters: Path
    verifier: VerifierSettings
    bench: object

    def lora(self, name: str) -> Lora:
        """Return an adapter below the folder of adapters, as the server is told of it."""
        folder = self.adapters / name
        digest = digests.of_file(folder / WEIGHTS)
        return Lora(name=name.replace("/", "-"), path=str(folder), number=lora_id_of(digest))

    async def answer(self, kind: str, prompt: str, inputs: Mapping[str, str], lora: Lora | None) -> Answer:
        """Ask tier S as the router would ask first: its instructions, its schema, its tokens, greedy."""
        rules, decode = self.policy.kinds[kind], self.fleet.tiers["s"].decode
        order = Order(
            text=question(rules, prompt, inputs),
            max_tokens=decode.max_tokens,
            temperature_micro=decode.temperature_micro,
            top_p_micro=decode.top_p_micro,
            top_k=None,
            seed=0,
            schema=inputs.get(rules.answer_schema_input) if rules.answer_schema_input else None,
            lora=lora,
        )
        said = await self.server.generate(order, self.able, SECONDS, "skill")
        return Answer(text=said.text, whole=said.finish_reason == "stop", logprob=float(said.cumulative_logprob or 0))

    async def is_right(self, kind: str, inputs: Mapping[str, str], answer: str) -> bool:
        """Tell whether the verifier passes an answer."""
        assess = check_for(kind, inputs, seed="skill", settings=self.verifier, bench=self.bench)  # type: ignore[arg-type]
        return (await assess(answer)).passed


@contextlib.asynccontextmanager
async def serving(adapters: Path) -> AsyncIterator[Serving]:
    """Run the model server for a while, with the adapters below a folder."""
    base = prepare_base(MODELS / "base", progress=print)
    with tempfile.TemporaryDirectory(prefix="tierproof-skill-") as home:
        layout = ModelServerLayout(home=Path(home), adapters=adapters, base=base.folder)
        with running_server(layout, ready_seconds=SECONDS) as running:
            settings = InferenceWorkerSettings(
                tier="s", triton_url=running.grpc, adapters_folder=adapters, idle_seconds=SECONDS, first_seconds=SECONDS
            )
            server = shell_of(settings).server
            verifier = VerifierSettings()
            yield Serving(
                server=server,
                able=(await server.describe()).able,
                policy=RoutingPolicy.model_validate_json((FLEET / "routing-policy.json").read_text()),
                fleet=FleetManifest.model_validate_json((FLEET / "fleet-manifest.json").read_text()),
                adapters=adapters,
                verifier=verifier,
                bench=await bench_of(verifier),
            )
            await server.close()
            await asyncio.sleep(0)
