"""From a stream's chunks to one generation. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_inference_worker.errors import UnfitAnswer

Chunk = Mapping[str, Any]  # role -> str, int or float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One finished generation. Log-probabilities are natural logarithms."""

    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cumulative_logprob: float | None = None
    lowest_logprob: float | None = None


def assembled(chunks: Sequence[Chunk], *, cumulative: bool) -> Generated:
    """Return the generation that chunks make up; raises UnfitAnswer for none at all."""
    if not chunks:
        raise UnfitAnswer("the stream ended without a response")
    texts = [str(chunk.get("text", "")) for chunk in chunks]
    last: dict[str, Any] = {}
    for chunk in chunks:
        last |= {role: value for role, value in chunk.items() if value not in (None, "")}
    per_token = _per_token(last.get("token_logprobs"))
    return Generated(
        text=_longest_tail(texts) if cumulative else "".join(texts),
        finish_reason=str(last.get("finish_reason", "stop")),
        prompt_tokens=_count(last.get("prompt_tokens")),
        output_tokens=_count(last.get("output_tokens")) or (len(per_token) or None),
        cumulative_logprob=_finite(last.get("cumulative_logprob")),
        lowest_logprob=min(per_token, default=None),
    )


def _longest_tail(texts: Sequence[str]) -> str:
    """Return the last text that is not empty: each one repeats those before it, and a final chunk may be empty."""
    return next((text for text in reversed(texts) if text), "")


def _finite(value: Any) -> float | None:  # noqa: ANN401 - servers send floats and texts of floats
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _count(value: Any) -> int | None:  # noqa: ANN401 - as _finite
    number = _finite(value)
    return int(number) if number is not None and number >= 0 else None


def _per_token(text: Any) -> list[float]:  # noqa: ANN401 - as _finite
    """Read `{"logprobs": [...]}` or `[...]`; what is neither counts as not sent."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return []
    values = found.get("logprobs") if isinstance(found, dict) else found
    if not isinstance(values, list):
        return []
    return [number for value in values if (number := _finite(value)) is not None]
