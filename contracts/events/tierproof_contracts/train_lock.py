"""The TrainLock: every input of a training, fixed before it starts. The digest of its canonical JSON names the training.

The same lock in the same environment gives the same bytes, or bytes within bounds that were signed beforehand. A member that this release
does not know is refused: it might have mattered. Fractions are decimal texts (`"0.001"`), since two readers may differ about a float.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tierproof_contracts.documents import Document, Strict
from tierproof_contracts.ids import Decimal, Digest

Stage = Literal["dapt", "sft", "dpo", "orpo", "task-lora", "heads"]
ArtifactName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
LARGEST_SEED = 2**32 - 1
Fraction = Annotated[Decimal, BeforeValidator(lambda said: str(said) if type(said) is int else said)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class Parent(Strict):
    """What learns: source weights of a base, and the adapter of the stage before, when there is one."""

    base: str = Field(min_length=1, max_length=100)
    weights: Digest
    adapter: Digest | None = None
    trained_by: Digest | None = Field(default=None, description="digest of the lock that gave `adapter`")

    @model_validator(mode="after")
    def _a_chained_adapter_has_a_lock(self) -> "Parent":
        if (self.adapter is None) != (self.trained_by is None):
            raise ValueError(
                "adapter and trained_by belong together: a stage begins from an adapter whose lock is known"
            )
        return self


class LockedDataset(Strict):
    """The snapshot that is learned from: its uid is the Merkle root of its records, its statement is signed."""

    uid: Digest
    statement: Digest = Field(description="sha256 of the in-toto statement's bytes")


class Decision(Strict):
    """LoRA or all weights (S4.2-rule): the latter makes a derived base of its own and says why a LoRA would not do.

    A classifier's `heads` leave their encoder as it is, and are neither.
    """

    kind: Literal["lora", "full", "heads"]
    justification: str = Field(max_length=2000)
    derived_base: ArtifactName | None = None

    @model_validator(mode="after")
    def _full_is_justified(self) -> "Decision":
        if self.kind == "full" and not (self.justification.strip() and self.derived_base):
            raise ValueError("a full fine-tune needs `justification` and the name of its `derived_base`")
        if self.kind != "full" and self.derived_base:
            raise ValueError("only a full fine-tune has a derived_base")
        return self


class LoraShape(Strict):
    """Rank, scaling (alpha / rank) and the layers that learn; `quantized` holds the base in 4 bits (QLoRA; a GPU only)."""

    rank: int = Field(ge=1, le=256)
    alpha: int = Field(ge=1, le=1024)
    dropout: Fraction
    targets: tuple[str, ...] = Field(min_length=1)
    quantized: bool = False


class HeadsShape(Strict):
    """Heads on a frozen encoder, each with so many `units` on its sentence vectors; `calibration_percent` of the records only calibrate.

    `dropout` is the share of the vectors' members that a step does not hear.
    """

    units: int = Field(ge=1, le=1024)
    dropout: Fraction
    calibration_percent: int = Field(ge=1, le=50)


class Hyperparameters(Strict):
    """How it is learned. `batch` and `accumulation` in records, `longest_tokens` per record, chat template included."""

    learning_rate: Fraction
    schedule: Literal["constant", "linear", "cosine", "cosine_with_min_lr"]
    least_learning_rate_share: Fraction = "0"
    warmup_steps: int = Field(ge=0)
    weight_decay: Fraction
    adam_beta2: Fraction
    clip: Fraction
    batch: int = Field(ge=1, le=4096)
    accumulation: int = Field(ge=1, le=4096)
    epochs: int = Field(ge=1, le=100)
    steps: int | None = Field(
        default=None,
        ge=1,
        description="ends the training before its epochs do; the schedule is still that of all epochs",
    )
    longest_tokens: int = Field(ge=8, le=131072)
    precision: Literal["fp32", "bf16"]
    beta: Fraction | None = Field(default=None, description="strength of the preference; DPO and ORPO only")


class Seeds(Strict):
    """Where chance comes from: nothing else may draw."""

    python: Seed
    numpy: Seed
    torch: Seed
    data: Seed
    adapter: Seed


class Environment(Strict):
    """What the bytes depend on besides the inputs. `packages` are name -> version, all that training imports."""

    python: str = Field(pattern=r"^3\.[0-9]{1,2}\.[0-9]{1,2}$")
    packages: dict[str, str] = Field(min_length=1)
    instruction_set: str = Field(min_length=1, max_length=40, description="as torch names it, e.g. AVX512")
    threads: int = Field(ge=1, le=1024)
    cuda: str | None = Field(default=None, max_length=40)
    driver: str | None = Field(default=None, max_length=40)
    image: Digest | None = Field(default=None, description="the container image, where there is one")


class EvaluationSuite(Strict):
    """What will judge the result: the suite, and the sealed test set as hashed n-grams."""

    suite: str = Field(min_length=1, max_length=100)
    sealed: Digest


class Reproduction(Strict):
    """What a second run must give: the same bytes, or tensors within bounds that were signed beforehand."""

    kind: Literal["bitwise", "bounded"]
    bounds: Digest | None = None

    @model_validator(mode="after")
    def _bounds_are_named(self) -> "Reproduction":
        if (self.kind == "bounded") != (self.bounds is not None):
            raise ValueError("bounded reproduction names its signed `bounds`; bitwise has none")
        return self


class TrainLock(Document):
    """One training, whole."""

    document: Literal["train-lock"] = "train-lock"
    version: Literal["1"]
    name: ArtifactName
    stage: Stage
    parent: Parent
    dataset: LockedDataset
    decision: Decision
    lora: LoraShape | None = None
    heads: HeadsShape | None = None
    hyperparameters: Hyperparameters
    seeds: Seeds
    environment: Environment
    evaluation: EvaluationSuite
    reproduction: Reproduction

    @model_validator(mode="after")
    def _parts_agree(self) -> "TrainLock":
        if (self.decision.kind == "lora") != (self.lora is not None):
            raise ValueError("lora: a LoRA has a shape, a full fine-tune has none")
        if not (self.stage == "heads") == (self.decision.kind == "heads") == (self.heads is not None):
            raise ValueError("heads: the stage, the decision and the shape belong together")
        if (self.stage in {"dpo", "orpo"}) != (self.hyperparameters.beta is not None):
            raise ValueError("hyperparameters.beta: DPO and ORPO need it, other stages have none")
        if self.stage == "task-lora" and self.decision.kind != "lora":
            raise ValueError("decision.kind: the stage task-lora makes a LoRA")
        if self.lora is not None and self.lora.quantized and self.environment.cuda is None:
            raise ValueError("lora.quantized: a 4-bit base needs a GPU; name environment.cuda, or set it to false")
        return self
