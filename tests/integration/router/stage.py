"""A router as a process on a real broker, and whoever it plays with: producer, workers, verifier, reviewer, each as its own NATS user."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from tierproof_bus import Bus, BusSettings, Published, Received
from tierproof_bus.documents import PAYLOAD_TYPE
from tierproof_contracts import subjects
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import (
    Document,
    DsseEnvelope,
    FleetManifest,
    PolicyPublishedV1,
    Reviewers,
    RoutingPolicy,
)
from tierproof_contracts.envelope import Event
from tierproof_contracts.ids import request_id_of, task_id_of
from tierproof_contracts.inference import Answer, Completed, InferenceRequestedV1, InferenceSettledV1, NotCompleted
from tierproof_contracts.review import ReviewDecidedV1, ReviewRequestedV1
from tierproof_contracts.task import TaskDecidedV1, TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import (
    CheckReport,
    Finding,
    NotPassed,
    Passed,
    Unverifiable,
    VerificationRequestedV1,
    VerificationSettledV1,
)
from tierproof_embedded.testing import NatsServer
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.trust import Trust

E = TypeVar("E", bound=Event)
FLEET_FOLDER = Path(__file__).resolve().parents[3] / "infra" / "fleet"
POLICY = RoutingPolicy.model_validate_json((FLEET_FOLDER / "routing-policy.json").read_bytes())
FLEET = FleetManifest.model_validate_json((FLEET_FOLDER / "fleet-manifest.json").read_bytes())
REVIEWERS = Reviewers(version="1", reviewers={})
REGISTRY = Ed25519Signer.from_seed(b"\x07" * 32)
SALT = "5a" * 16
PASSED = Passed(answer_index=0, checks=(CheckReport(check="schema", passed=True),))
FINDING = Finding(code="rule", where="/text", note="must contain the word `shall`")
FAILED = NotPassed(findings=((FINDING,),), nearest=0)
DOWN = NotCompleted(code="server-down", detail="nobody listens", another_try=True)
USERS = (
    "app-acme",
    *(f"inference-worker-{tier}" for tier in ("s", "m", "l")),
    "verifier",
    "reviewer",
    "auditor",
    "evidence-ledger",  # reads the timers, which no auditor does
)
SECONDS = 15.0


def with_rule(safety_class: Any, version: str, **changes: Any) -> RoutingPolicy:
    """Return the delivered policy under another version, with one rule of reg-doc-drafting changed."""
    kind = POLICY.kinds["reg-doc-drafting"]
    rule = kind.classes[safety_class].model_copy(update=changes)
    kind = kind.model_copy(update={"classes": kind.classes | {safety_class: rule}})
    return POLICY.model_copy(update={"version": version, "kinds": POLICY.kinds | {"reg-doc-drafting": kind}})


def settings_of(server: NatsServer, user: str) -> BusSettings:
    return BusSettings(nats_url=server.bare_url, nkey_seed_file=server.seed_file(user), answer_seconds=2.0)


def trust_file(folder: Path) -> Path:
    """Write the trust file that believes the registry's key."""
    path = folder / "trust.json"
    log = NoteSigner(name="ledger.example/tests", signer=REGISTRY).verifier_key
    path.write_text(
        Trust(log_keys=(LogKey(key=log),), documents={"registry": Ed25519Verifier(REGISTRY.public_key)}).to_json()
    )
    return path


def signed(document: Document) -> PolicyPublishedV1:
    """Return the event that brings a document into force."""
    payload = canonical_json(document.model_dump(mode="json", exclude_none=True))
    sealed = DsseEnvelope.model_validate(sign_envelope(PAYLOAD_TYPE, payload, [REGISTRY]))
    return PolicyPublishedV1(name=document.model_dump()["document"], digest=document.digest(), envelope=sealed)


async def publish_documents(server: NatsServer, *documents: Document) -> None:
    """Publish documents as the registry does."""
    async with Bus.connect("registry", settings_of(server, "registry")) as registry:
        for document in documents:
            await registry.publish(signed(document))


class Router:
    """The router's process. `kill` is SIGKILL; `start` again with the same settings."""

    def __init__(self, server: NatsServer, folder: Path) -> None:
        self._log = folder / "router.log"
        self._environment = {
            "TIERPROOF_NATS_URL": server.bare_url,
            "TIERPROOF_NKEY_SEED_FILE": str(server.seed_file("router")),
            "TIERPROOF_TRUST_FILE": str(trust_file(folder)),
            "TIERPROOF_RETRY_DELAYS": "[0.05, 0.2, 1.0]",
            "TIERPROOF_PULL_SECONDS": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def start(self) -> Self:
        started = self.log.count("service.started")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tierproof_router"], env=os.environ | self._environment, stdout=log, stderr=log
            )
        until = time.monotonic() + SECONDS
        while self.log.count("service.started") == started:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running(server: NatsServer, folder: Path) -> Iterator[Router]:
    router = Router(server, folder).start()
    try:
        yield router
    finally:
        router.kill()


class Stage:
    """The other actors, who say what a test lets them say. Every wait ends with an error after some seconds."""

    def __init__(self, buses: dict[str, Bus]) -> None:
        self._buses = buses

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, server: NatsServer) -> AsyncIterator[Self]:
        async with contextlib.AsyncExitStack() as stack:
            buses = {u: await stack.enter_async_context(Bus.connect(u, settings_of(server, u))) for u in USERS}
            yield cls(buses)

    async def submit(self, key: str, safety_class: Any = "B", **changes: Any) -> Published[TaskSubmittedV1]:
        """Submit a task that the delivered policy knows."""
        fields: dict[str, Any] = {
            "tenant": "acme",
            "task_id": task_id_of("acme", key),
            "kind": "reg-doc-drafting",
            "safety_class": safety_class,
            "prompt": Text(text="Write REQ-1.", salt=SALT),
            "inputs": {n: Text(text="{}", salt=SALT) for n in POLICY.kinds["reg-doc-drafting"].required_inputs},
            "actor": "tests",
        }
        return await self._buses["app-acme"].publish(TaskSubmittedV1(**(fields | changes)))

    async def there(self, event: type[E], subject: str, reader: str = "auditor") -> Received[E]:
        """Wait for an event; `*` in the subject covers one token."""
        async with asyncio.timeout(SECONDS):
            while True:
                found = await self._buses[reader].read(event, subject)
                if found is not None:
                    return found
                await asyncio.sleep(0.02)

    async def inference(self, task_id: str, number: int = 1) -> Received[InferenceRequestedV1]:
        """Wait for the router's n-th request to a tier."""
        subject = subjects.inference_requested("*", request_id_of(task_id, "inference", number))
        return await self.there(InferenceRequestedV1, subject)

    async def settle(self, asked: Received[InferenceRequestedV1], settlement: Completed | NotCompleted) -> None:
        """Settle a request as the tier's worker."""
        told = asked.data
        ids = {name: getattr(told, name) for name in ("request_id", "task_id", "tenant", "tier")}
        worker = self._buses[f"inference-worker-{told.tier}"]
        await worker.publish(InferenceSettledV1(**ids, settlement=settlement), cause=asked)

    async def answer(self, asked: Received[InferenceRequestedV1]) -> Received[VerificationRequestedV1]:
        """Answer a request and wait until the router asks for a verdict."""
        salt = asked.data.request_id.replace("-", "")
        made = Answer(text=Text(text=f"answer {salt}", salt=salt), finish_reason="stop", seed=asked.data.decode.seed)
        done = Completed(answers=(made,), model=asked.data.model, generation_ms=1, replica="r1")
        await self.settle(asked, done)
        number = len(asked.data.slip.attempts)
        request_id = request_id_of(asked.data.task_id, "verification", number)
        subject = subjects.verification_requested(asked.data.slip.kind, request_id)
        return await self.there(VerificationRequestedV1, subject)

    async def judge(
        self, checks: Received[VerificationRequestedV1], verdict: Passed | NotPassed | Unverifiable
    ) -> Published[VerificationSettledV1]:
        """Settle a verification as the verifier."""
        ids = {name: getattr(checks.data, name) for name in ("request_id", "task_id", "tenant", "kind")}
        settled = VerificationSettledV1(**ids, verdict=verdict, verifier="tests 1", checking_ms=1)
        return await self._buses["verifier"].publish(settled, cause=checks)

    async def round(
        self, task_id: str, number: int, verdict: Passed | NotPassed | Unverifiable
    ) -> Received[InferenceRequestedV1]:
        """Answer and judge the n-th request; returns it."""
        asked = await self.inference(task_id, number)
        await self.judge(await self.answer(asked), verdict)
        return asked

    async def waiting_review(self, task_id: str) -> Received[ReviewRequestedV1]:
        """Bring a class C task before a person."""
        await self.round(task_id, 1, PASSED)
        return await self.there(ReviewRequestedV1, subjects.review_requested("acme", task_id))

    async def review(self, asked: Received[ReviewRequestedV1], **changes: Any) -> Published[ReviewDecidedV1]:
        """Decide a review as the review door; whether the signature is right is the ledger's to judge."""
        fields: dict[str, Any] = {
            "task_id": asked.data.task_id,
            "tenant": asked.data.tenant,
            "review_request": asked.id,
            "answer": asked.data.answer.ref().commitment,
            "verdict": "confirm",
            "meaning": "approval",
            "reason": "checked against the requirement",
            "signer": "ada",
            "printed_name": "Ada L.",
            "signed_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "signature": base64_of(bytes(64)),
        }
        return await self._buses["reviewer"].publish(ReviewDecidedV1(**(fields | changes)), cause=asked)

    async def decided(self, task_id: str) -> Received[TaskDecidedV1]:
        """Wait for the task's outcome."""
        return await self.there(TaskDecidedV1, subjects.task_decided(task_id))

    async def expired(self, task_id: str) -> Received[TaskExpiredV1]:
        """Wait for the task's deadline, as the broker tells it."""
        return await self.there(TaskExpiredV1, subjects.task_expired(task_id), "evidence-ledger")

    async def is_decided(self, task_id: str) -> bool:
        return await self._buses["auditor"].read(TaskDecidedV1, subjects.task_decided(task_id)) is not None

    async def dead(self) -> list[Any]:
        """Return everything in the stream of incidents."""
        found: list[Any] = []
        while (event := await self._buses["auditor"].read_sequence("DEAD", len(found) + 1)) is not None:
            found.append(event.data)
        return found
