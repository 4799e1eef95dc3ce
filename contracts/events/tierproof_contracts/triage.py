"""What the triage model reads from a request whose producer named no kind. Probabilities in millionths."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tierproof_contracts.ids import Kind

Micro = Annotated[int, Field(ge=0, le=1_000_000)]


class TriageReading(BaseModel):
    """The likeliest kind, modality, risk and need of documents, each with its probability, and that of no task of this fleet at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    kind_micro: Micro
    modality: Literal["text", "image"]
    modality_micro: Micro
    out_of_domain_micro: Micro
    retrieval: Literal["yes", "no"]
    retrieval_micro: Micro
    risk: Literal["A", "B", "C"]
    risk_micro: Micro
