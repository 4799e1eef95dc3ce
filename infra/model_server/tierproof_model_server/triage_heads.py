"""The heads of the triage classifier: what a request asks for, read from its sentences' vectors. numpy; no other part knows how.

Each head's units look at every sentence and keep the strongest sign (max over the sentences, then ReLU); a linear layer makes scores of
them. A temperature, fitted on a validation split, makes probabilities of the scores (Guo et al., 2017).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tierproof_model_server import safetensors
from tierproof_model_server.errors import TriageHeadsDamaged

WEIGHTS = "heads.safetensors"
OUTSIDE, KIND = "out_of_domain", "kind"
MILLION = 1_000_000
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One label's head: units (units, width) and units_bias (units), weight (classes, units), bias (classes), the names of its classes."""

    names: tuple[str, ...]
    units: Floats
    units_bias: Floats
    weight: Floats
    bias: Floats
    temperature: float

    def probabilities(self, vectors: Floats) -> Floats:
        """Return the probability of each class, shape (classes), from sentence vectors, shape (sentences, width)."""
        signs = np.maximum((vectors @ self.units.T + self.units_bias).max(axis=0), 0)
        return _softmax((self.weight @ signs + self.bias) / self.temperature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """All heads of one file, and what they were trained on top of; `sentence_ends` is a regular expression."""

    by_label: Mapping[str, Head]
    encoder: str
    longest_tokens: int
    sentence_ends: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the heads; raises TriageHeadsDamaged for a file that is not whole or not theirs."""
        try:
            tensors, facts = safetensors.floats_in(path)
            labels: dict[str, list[str]] = json.loads(facts["labels"])
            heads = {label: _head(label, tuple(names), tensors) for label, names in labels.items()}
            made = cls(
                by_label=heads,
                encoder=facts["encoder"],
                longest_tokens=int(facts["longest_tokens"]),
                sentence_ends=re.compile(facts["sentence_ends"]).pattern,
            )
        except (OSError, KeyError, ValueError, AttributeError, re.error) as broken:
            raise TriageHeadsDamaged(path=path) from broken
        if not {OUTSIDE, KIND} <= heads.keys():
            raise TriageHeadsDamaged(path=path)
        return made

    def reading(self, vectors: Floats) -> str:
        """Return the reading of a request as canonical JSON: each label's likeliest class, probabilities in millionths."""
        said: dict[str, str | int] = {}
        for label, head in self.by_label.items():
            shares = head.probabilities(vectors)
            if label == OUTSIDE:
                said[f"{OUTSIDE}_micro"] = round(float(shares[head.names.index("yes")]) * MILLION)
            else:
                best = int(shares.argmax())
                said |= {label: head.names[best], f"{label}_micro": round(float(shares[best]) * MILLION)}
        return json.dumps(said, sort_keys=True, separators=(",", ":"))


def _head(label: str, names: tuple[str, ...], tensors: Mapping[str, Floats]) -> Head:
    units, units_bias, weight, bias = (tensors[f"{label}.{part}"] for part in ("units", "units_bias", "weight", "bias"))
    temperature = float(tensors[f"{label}.temperature"].reshape(-1)[0])
    if (
        units_bias.shape != units.shape[:1]
        or weight.shape != (len(names), len(units))
        or bias.shape != (len(names),)
        or not temperature > 0
    ):
        raise ValueError(label)
    return Head(names=names, units=units, units_bias=units_bias, weight=weight, bias=bias, temperature=temperature)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max())
    shares: Floats = powers / powers.sum()
    return shares
