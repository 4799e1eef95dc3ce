"""Signed documents: everything that steers is data. Routing policy, fleet manifest and reviewers, with their event.

A document's digest is that of its canonical JSON; it travels in a DSSE envelope and is named by digest in every decision.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tierproof_contracts import subjects
from tierproof_contracts.canonical import digest_of
from tierproof_contracts.envelope import Event, Part
from tierproof_contracts.ids import UNDECLARED, Digest, InputName, Kind, Name
from tierproof_contracts.inference import AdapterPin
from tierproof_contracts.slip import SafetyClass, Tier

DocumentName = Literal["routing-policy", "fleet-manifest", "reviewers", "training-policy"]


class Document(BaseModel):
    """A versioned document. A field that this release does not know is refused: it might have mattered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Return the digest by which decisions name this document."""
        return digest_of(self.model_dump(mode="json", exclude_none=True))


class Strict(BaseModel):
    """A part of a document: frozen, and a field that this release does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassRule(Strict):
    """What holds for one kind at one IEC 62304 class.

    `ladder` is the order of tiers, smallest first. `repairs` and `escalations` bound the task; `repair_style` says what a repair
    changes. `tokens` bounds the sum of output tokens asked for. Times in milliseconds.
    """

    ladder: tuple[Tier, ...] = Field(min_length=1)
    repairs: int = Field(ge=0, le=2)
    repairs_per_tier: int = Field(ge=0, le=2)
    repair_style: Literal["findings", "resample"]
    escalations: int = Field(ge=0)
    tokens: int = Field(ge=1)
    needs_person: bool
    time_allowed_ms: int = Field(ge=100)
    longest_time_allowed_ms: int = Field(ge=100)
    review_time_ms: int = Field(ge=1000)


class KindPolicy(Strict):
    """One task kind: the words around the prompt, the inputs that it needs, and a rule per class."""

    instructions: str = Field(max_length=4000)
    repair_instructions: str = Field(max_length=4000)
    findings_shown: int = Field(ge=1, le=20)
    required_inputs: tuple[InputName, ...]
    prompt_inputs: tuple[InputName, ...] = ()
    answer_schema_input: InputName | None = None
    adapters: dict[Tier, str] = Field(default_factory=dict)
    prompt_bytes: int = Field(ge=1)
    classes: dict[SafetyClass, ClassRule]


class TriagePolicy(Strict):
    """When the kind that the triage model reads is believed. Probabilities in millionths, times in milliseconds.

    `riskier_needs_person` puts an answer before a person when the request speaks of more harm than its class says.
    """

    lowest_kind_micro: int = Field(ge=0, le=1_000_000)
    highest_out_of_domain_micro: int = Field(ge=0, le=1_000_000)
    riskier_needs_person: bool
    prompt_bytes: int = Field(ge=1)
    time_allowed_ms: int = Field(ge=100)
    longest_time_allowed_ms: int = Field(ge=100)


class RoutingPolicy(Document):
    """Which tier answers what, what bounds it, and when a person decides."""

    document: Literal["routing-policy"] = "routing-policy"
    version: str = Field(max_length=32)
    kinds: dict[Kind, KindPolicy]
    class_c_needs_person: Literal[True] = Field(default=True, description="S9-classC: no policy may switch this off")
    failed_inference_retries: int = Field(ge=0, le=5)
    grace_ms: int = Field(ge=1000, description="how long after a deadline the ledger's sweep waits for a decision")
    triage: TriagePolicy | None = Field(default=None, description="without it a task must name its kind")

    @model_validator(mode="after")
    def _class_c_is_confirmed_by_a_person(self) -> "RoutingPolicy":
        if UNDECLARED in self.kinds:
            raise ValueError(f"kinds.{UNDECLARED}: tasks that name no kind have this one; give the kind another name")
        for name, kind in self.kinds.items():
            rule = kind.classes.get("C")
            if rule is not None and not rule.needs_person:
                raise ValueError(f"kinds.{name}.classes.C.needs_person must be true: class C is confirmed by a person")
        return self


class TierDecode(Strict):
    """How a tier decodes: greedy at temperature 0; a resample, or several samples of a greedy tier, take the other temperature."""

    max_tokens: int = Field(ge=1)
    temperature_micro: int = Field(ge=0)
    resample_temperature_micro: int = Field(ge=0)
    top_p_micro: int = Field(default=1_000_000, ge=1, le=1_000_000)
    samples: int = Field(ge=1, le=64)


class TierSpec(Strict):
    """One tier of the fleet: the model behind it, pinned by digest, and what it costs to run."""

    title: str = Field(max_length=40)
    model: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    base: str = Field(max_length=100)
    weights: Digest
    tokenizer: Digest
    engine: Digest
    decode_mode: Literal["reproducible", "throughput"]
    parameters: str = Field(max_length=20)
    context_tokens: int = Field(ge=1)
    hardware: str = Field(max_length=100)
    quantization: str = Field(max_length=40)
    tasks: tuple[str, ...]
    decode: TierDecode
    note: str = Field(default="", max_length=300)


class TriageSpec(Strict):
    """The triage model: whose worker asks it, the model and its pinned digests, and the heads that it reads with."""

    tier: Tier
    model: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    base: str = Field(max_length=100)
    weights: Digest
    tokenizer: Digest
    engine: Digest
    decode_mode: Literal["reproducible", "throughput"]
    heads: AdapterPin | None = None
    max_tokens: int = Field(ge=1)
    note: str = Field(default="", max_length=300)


class FleetManifest(Document):
    """The models that may be asked, and nothing else."""

    document: Literal["fleet-manifest"] = "fleet-manifest"
    version: str = Field(max_length=32)
    tiers: dict[Tier, TierSpec]
    adapters: dict[str, AdapterPin] = Field(default_factory=dict)
    triage: TriageSpec | None = None


class Reviewer(Strict):
    """A person who may decide reviews; `public_key` is raw Ed25519, base64."""

    printed_name: str = Field(min_length=1, max_length=100)
    public_key: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$")
    kinds: tuple[Kind, ...] | None = None


class Reviewers(Document):
    """Who may sign review decisions."""

    document: Literal["reviewers"] = "reviewers"
    version: str = Field(max_length=32)
    reviewers: dict[Name, Reviewer]


class ApprovedBase(Strict):
    """A base whose source weights may be trained from."""

    weights: Digest
    licence: str = Field(min_length=1, max_length=60, description="SPDX expression")


class TrainingLimits(Strict):
    """What bounds a training job. Silence is the time without an optimiser step; memory is the process's resident size."""

    wall_seconds: int = Field(ge=1)
    silent_seconds: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    attempts: int = Field(ge=1, le=20, description="how often a job whose process ended is taken up again")
    save_every_steps: int = Field(ge=1)
    states_kept: int = Field(ge=1)


class LearningLimits(Strict):
    """What a training must show before it is signed. Counts are optimiser steps."""

    still_steps: int = Field(ge=1, description="ended when each of the first so many has a gradient of 0, or one loss")
    compared_steps: int = Field(
        ge=1,
        description="the mean loss of the last so many is held against that of the first; where there are twice as many",
    )
    most_loss_percent: int = Field(ge=1, le=100_000, description="of the first mean that the last may be")


class TrainingPolicy(Document):
    """What may be trained, from what, on what, and what it was not to have seen."""

    document: Literal["training-policy"] = "training-policy"
    version: str = Field(max_length=32)
    bases: dict[str, ApprovedBase]
    labels: tuple[Literal["internal", "synthetic-verified", "public-permissive"], ...] = Field(min_length=1)
    suites: dict[str, Digest] = Field(description="evaluation suite -> its sealed test set as hashed n-grams")
    limits: TrainingLimits
    learning: LearningLimits | None = Field(default=None, description="nothing is asked of the loss where it is absent")


Steering = RoutingPolicy | FleetManifest | Reviewers | TrainingPolicy
AnyDocument = Annotated[Steering, Field(discriminator="document")]


class DsseSignature(Part):
    """One signature of a DSSE envelope, base64."""

    keyid: str = Field(max_length=200)
    sig: str = Field(max_length=8000)


class DsseEnvelope(Part):
    """A DSSE v1 envelope; the payload is base64 of the document's canonical JSON."""

    payloadType: str = Field(max_length=200)  # noqa: N815 - the name that the DSSE specification gives
    payload: str
    signatures: tuple[DsseSignature, ...] = Field(min_length=1)


class PolicyPublishedV1(Event):
    """A signed document comes into force for tasks accepted from now on."""

    event_type: ClassVar[str] = "policy.published.v1"

    name: DocumentName
    digest: Digest
    envelope: DsseEnvelope

    def subject(self) -> str:
        """Return the document's subject; the last one per name is in force."""
        return subjects.policy_published(self.name, self.digest)


class ModelRevokedV1(Event):
    """A model artifact (weights or adapter) must not be served or released any more."""

    event_type: ClassVar[str] = "model.revoked.v1"

    digest: Digest
    reason: str = Field(min_length=1, max_length=500)
    revoked_by: Name

    def subject(self) -> str:
        """Return the artifact's revocation subject."""
        return subjects.model_revoked(self.digest)
