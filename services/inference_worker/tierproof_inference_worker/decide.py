"""What a worker does with a request, and what it says of each trouble. Pure: no clock, no randomness, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tierproof_contracts.inference import (
    Answer,
    Completed,
    FailureCode,
    InferenceRequestedV1,
    InferenceSettledV1,
    NotCompleted,
)
from tierproof_contracts.text import Text, derived_salt

from tierproof_inference_worker.adapters import UnknownAdapter
from tierproof_inference_worker.chunks import Generated
from tierproof_inference_worker.errors import (
    OutOfTime,
    ProfileMismatch,
    ServerDown,
    ServerRefused,
    ServerStalled,
    ServerTrouble,
    UnfitAnswer,
)
from tierproof_inference_worker.profiles import Capabilities, Lora, Order

LONGEST_DETAIL = 500

# What our model server says begins with the error's class (infra/model_server errors.py, wire.py); then what Triton and the engines say.
DEATHS = ("stub process", "enginegone")
REFUSALS: tuple[tuple[str, FailureCode, bool], ...] = (
    ("schemarefused", "bad-schema", False),
    ("prompttoolong", "prompt-too-long", False),
    ("adapterrefused", "unknown-adapter", False),
    ("deadlinepassed", "deadline", False),
    ("generationfailed", "crashed", True),
    ("enginegone", "crashed", True),
    ("requestrefused", "server-error", False),
    ("stub process", "crashed", True),
    ("guided decoding", "bad-schema", False),
    ("exceeds the maximum", "prompt-too-long", False),
    ("longer than the maximum model length", "prompt-too-long", False),
    ("lora", "unknown-adapter", False),
    ("timeout expired", "deadline", False),
)
FINISHED: dict[str, Literal["stop", "length"]] = {
    "stop": "stop",
    "length": "length",
    "end_id": "stop",
    "stop_words": "stop",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the server says of its model: digests from the model's configuration, and what it can do."""

    model: str
    weights: str | None
    tokenizer: str | None
    engine: str | None
    decode_mode: str | None
    able: Capabilities


def seconds_left(deadline: str, now: datetime) -> float:
    """Return the seconds until an RFC 3339 deadline, negative when it has passed."""
    return (datetime.fromisoformat(deadline) - now).total_seconds()


def refusal(asked: InferenceRequestedV1, reported: Reported) -> NotCompleted | None:
    """Return why a request is not even tried; None when the server holds exactly the pinned model and can do what is asked."""
    pinned = asked.model
    expected = (pinned.name, pinned.weights, pinned.tokenizer, pinned.engine)
    found = (reported.model, reported.weights, reported.tokenizer, reported.engine)
    for what, wanted, got in zip(("model", "weights", "tokenizer", "engine"), expected, found, strict=True):
        if wanted != got:
            return failed("digest-mismatch", f"{what}: pinned {wanted}, the server reports {got}", again=False)
    # A server that does not name its mode is held to it by the engine's digest, which covers the settings.
    if reported.decode_mode not in (None, pinned.decode_mode):
        return failed(
            "digest-mismatch", f"decode_mode: pinned {pinned.decode_mode}, not {reported.decode_mode}", again=False
        )
    if asked.answer_schema is not None and not reported.able.schema:
        return failed("bad-schema", "this server cannot be held to a JSON schema", again=False)
    if pinned.adapter is not None and not reported.able.lora:
        return failed("unknown-adapter", "this server takes no adapters", again=False)
    return None


def orders_of(asked: InferenceRequestedV1, lora: Lora | None) -> tuple[Order, ...]:
    """Return the generations of a request; sample i uses seed + i."""
    decode = asked.decode
    return tuple(
        Order(
            text=asked.prompt.text,
            max_tokens=decode.max_tokens,
            temperature_micro=decode.temperature_micro,
            top_p_micro=decode.top_p_micro,
            top_k=decode.top_k,
            seed=decode.seed + index,
            schema=asked.answer_schema.text if asked.answer_schema else None,
            lora=lora,
        )
        for index in range(decode.samples)
    )


def completed(
    asked: InferenceRequestedV1, generated: Sequence[Generated], *, generation_ms: int, replica: str
) -> Completed | NotCompleted:
    """Return the settlement of finished generations; an end that nobody knows is no answer."""
    unknown = next((one.finish_reason for one in generated if one.finish_reason not in FINISHED), None)
    if unknown is not None:
        return failed("server-error", f"unknown finish reason {unknown[:40]!r}", again=True)
    return Completed(
        answers=tuple(_answer(asked, index, one) for index, one in enumerate(generated)),
        model=asked.model,  # refusal() has found it equal to what the server reports
        generation_ms=generation_ms,
        replica=replica,
    )


def _answer(asked: InferenceRequestedV1, index: int, one: Generated) -> Answer:
    return Answer(
        text=Text(text=one.text, salt=derived_salt(asked.prompt.salt, f"answer/{asked.request_id}/{index}")),
        finish_reason=FINISHED[one.finish_reason],
        prompt_tokens=one.prompt_tokens,
        output_tokens=one.output_tokens,
        cumulative_logprob=_decimal(one.cumulative_logprob),
        lowest_logprob=_decimal(one.lowest_logprob),
        seed=asked.decode.seed + index,
    )


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"


def failed(code: FailureCode, detail: str, *, again: bool) -> NotCompleted:
    """Return a failure; `again` tells the router that the same request may succeed later."""
    return NotCompleted(code=code, detail=detail[:LONGEST_DETAIL], another_try=again)


TROUBLES: tuple[tuple[type[ServerTrouble], FailureCode, bool], ...] = (
    (ServerDown, "server-down", True),
    (ServerStalled, "server-stalled", True),
    (OutOfTime, "deadline", False),
    (UnknownAdapter, "unknown-adapter", False),
    (ProfileMismatch, "server-error", False),
    (UnfitAnswer, "server-error", True),
)


def failure_of(trouble: ServerTrouble) -> NotCompleted:
    """Return what is said of a trouble. Words of other people's servers are read for known parts, and not passed on."""
    if isinstance(trouble, ServerRefused):
        return _refused(trouble.diagnosis())
    code, again = next((code, again) for kind, code, again in TROUBLES if isinstance(trouble, kind))
    return failed(code, trouble.diagnosis(), again=again)


def is_death(trouble: ServerTrouble) -> bool:
    """Tell whether the model's backend died: only loading the model again brings it back."""
    return isinstance(trouble, ServerRefused) and any(part in trouble.diagnosis().lower() for part in DEATHS)


def _refused(words: str) -> NotCompleted:
    lowered = words.lower()
    for part, code, again in REFUSALS:
        if part in lowered:
            return failed(code, f"the model server refused the request: {code}", again=again)
    return failed("server-error", "the model server answered with an error that this worker does not know", again=True)


def settled(asked: InferenceRequestedV1, settlement: Completed | NotCompleted) -> InferenceSettledV1:
    """Return the event."""
    return InferenceSettledV1(
        request_id=asked.request_id,
        task_id=asked.task_id,
        tenant=asked.tenant,
        tier=asked.tier,
        settlement=settlement,
    )
