"""Inference: asked for by the router, settled once by a worker."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tierproof_contracts import subjects
from tierproof_contracts.envelope import Event, Part
from tierproof_contracts.ids import Decimal, Digest, Instant, RequestId, TaskId, Tenant
from tierproof_contracts.slip import Slip, Tier
from tierproof_contracts.text import Text

Purpose = Literal["triage", "answer", "shadow"]
FailureCode = Literal[
    "server-down",
    "server-stalled",
    "digest-mismatch",
    "unknown-adapter",
    "bad-schema",
    "prompt-too-long",
    "deadline",
    "crashed",
    "server-error",
]


class AdapterPin(Part):
    """A LoRA adapter by name and by the digest of its weights file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    digest: Digest


class ModelPin(Part):
    """The exact model: what the server must report before it is asked, and what it reported when it answered."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    weights: Digest
    tokenizer: Digest
    engine: Digest
    decode_mode: Literal["reproducible", "throughput"]
    adapter: AdapterPin | None = None


class Decode(Part):
    """Decode parameters; temperature and top_p in millionths. Temperature 0 is greedy. Sample i uses seed + i."""

    max_tokens: int = Field(ge=1, le=32768)
    temperature_micro: int = Field(ge=0, le=5_000_000)
    top_p_micro: int = Field(default=1_000_000, ge=1, le=1_000_000)
    top_k: int | None = Field(default=None, ge=1)
    seed: int = Field(ge=0, le=2**53 - 1)
    samples: int = Field(default=1, ge=1, le=64)


class InferenceRequestedV1(Event):
    """The router asks one tier for one or several answers."""

    event_type: ClassVar[str] = "inference.requested.v1"

    request_id: RequestId
    task_id: TaskId
    tenant: Tenant
    tier: Tier
    purpose: Purpose
    prompt: Text
    answer_schema: Text | None = None
    model: ModelPin
    decode: Decode
    deadline: Instant
    slip: Slip

    def subject(self) -> str:
        """Return the tier's request subject."""
        return subjects.inference_requested(self.tier, self.request_id)


class Answer(Part):
    """One answer. Log-probabilities are natural logarithms, as decimal strings."""

    text: Text
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    cumulative_logprob: Decimal | None = None
    lowest_logprob: Decimal | None = None
    seed: int = Field(ge=0)


class Completed(Part):
    """The server answered, with the model that it reported."""

    status: Literal["completed"] = "completed"
    answers: tuple[Answer, ...] = Field(min_length=1, max_length=64)
    model: ModelPin
    generation_ms: int = Field(ge=0)
    replica: str = Field(max_length=64)


class NotCompleted(Part):
    """No answer. `another_try` tells the router whether the same request may succeed later."""

    status: Literal["failed"] = "failed"
    code: FailureCode
    detail: str = Field(max_length=500)
    another_try: bool


class InferenceSettledV1(Event):
    """A request's one settlement; completed and failed exclude each other by subject."""

    event_type: ClassVar[str] = "inference.settled.v1"

    request_id: RequestId
    task_id: TaskId
    tenant: Tenant
    tier: Tier
    settlement: Annotated[Completed | NotCompleted, Field(discriminator="status")]

    def subject(self) -> str:
        """Return the request's settlement subject."""
        return subjects.inference_settled(self.tier, self.request_id)
