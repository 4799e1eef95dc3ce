"""Between Triton's request objects and values. Imported in the stub only through the backends; takes its objects as arguments."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as backend

from tierproof_model_server.adapters import AdapterRequest
from tierproof_model_server.errors import AdapterRefused, ModelServerError, RequestRefused
from tierproof_model_server.generation import Generated, Generation
from tierproof_model_server.schema import accepted
from tierproof_model_server.settings import EngineSettings
from tierproof_model_server.tensors import CANCEL_KEY, FAILED, LEAST_TOKENS, REFUSED, TIMEOUT

FINAL = backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL
MICROSECONDS = 1_000_000
LORA = ("lora_id", "lora_name", "lora_path")


class Responses:
    """The responses of one request, as a listener of the engine. `cancel` is what a proxy calls through the base model."""

    def __init__(self, request: Any) -> None:  # noqa: ANN401 - a Triton InferenceRequest
        self._sender = request.get_response_sender()
        self._cancelled = threading.Event()
        self._through_tier = CANCEL_KEY in json.loads(request.parameters() or "{}")

    def cancel(self) -> None:
        """Let the engine stop at its next step."""
        self._cancelled.set()

    def gone(self) -> bool:
        """Tell whether the client cancelled. A tier tells it by `cancel`; asking Triton costs a round trip to its process.

        Call it only from the thread that sends: to ask while the last response is sent kills the whole server.
        """
        return self._cancelled.is_set() or (not self._through_tier and bool(self._sender.is_cancelled()))

    def delta(self, text: str) -> None:
        """Send the next piece of text."""
        self._sender.send(backend.InferenceResponse(output_tensors=[_texts("text_output", text)]))

    def finished(self, answer: Generated) -> None:
        """Send the rest of the text with everything that is known at the end."""
        logprobs = json.dumps({"ids": answer.ids, "logprobs": answer.logprobs}, separators=(",", ":"))
        self._end(
            output_tensors=[
                _texts("text_output", answer.rest),
                _texts("finish_reason", answer.finish),
                backend.Tensor("cumulative_logprob", np.array([sum(answer.logprobs)], dtype=np.float32)),
                _texts("tierproof_token_logprobs", logprobs),
                backend.Tensor("tierproof_prompt_tokens", np.array([answer.prompt_tokens], dtype=np.int32)),
                backend.Tensor("tierproof_output_tokens", np.array([len(answer.ids)], dtype=np.int32)),
            ]
        )

    def failed(self, error: ModelServerError) -> None:
        """Send the diagnosis with the class of the error in front; a refusal is INVALID_ARG, all else INTERNAL."""
        self._error(f"{type(error).__name__}: {error.diagnosis()}", refused=isinstance(error, RequestRefused))

    def stopped(self) -> None:
        """Send the end that nobody reads."""
        self._error("cancelled", refused=False)

    def _error(self, message: str, *, refused: bool) -> None:
        """To a tier, which asked through BLS, the error goes as a text: BLS loses an error that follows a delta."""
        if self._through_tier:
            finish = REFUSED if refused else FAILED
            self._end(output_tensors=[_texts("text_output", message), _texts("finish_reason", finish)])
        else:
            self._end(error=error_of(message, refused=refused))

    def _end(self, *, output_tensors: list[Any] | None = None, error: Any = None) -> None:  # noqa: ANN401 - a TritonError
        self._sender.send(backend.InferenceResponse(output_tensors=output_tensors or [], error=error), flags=FINAL)


def error_of(message: str, *, refused: bool) -> Any:  # noqa: ANN401 - a TritonError
    """Return Triton's error: INVALID_ARG for a refusal, else INTERNAL."""
    return backend.TritonError(message, backend.TritonError.INVALID_ARG if refused else backend.TritonError.INTERNAL)


def parameters_of(model_config: str) -> dict[str, str]:
    """Return the parameters of a model's configuration."""
    given = json.loads(model_config).get("parameters", {})
    return {name: value["string_value"] for name, value in given.items()}


def generation_of(request: Any, settings: EngineSettings) -> Generation:  # noqa: ANN401 - a Triton InferenceRequest
    """Read a request; raises RequestRefused for what is wrong as it stands."""
    given = inputs_of(request)
    parameters = json.loads(request.parameters() or "{}")
    schema = given.get("tierproof_json_schema")
    if schema is not None:
        schema = accepted(schema, most_bytes=settings.most_schema_bytes, most_depth=settings.most_schema_depth)
    most = int(given.get("sampling_param_max_tokens", settings.most_output_tokens))
    if not 1 <= most <= settings.most_output_tokens:
        raise RequestRefused(
            f"sampling_param_max_tokens is {most}; 1 to {settings.most_output_tokens} can be asked for"
        )
    least = int(parameters.get(LEAST_TOKENS, 0))
    temperature, top_p = float(given.get("sampling_param_temperature", 0)), float(given.get("sampling_param_top_p", 1))
    if not (temperature >= 0 and 0 < top_p <= 1 and 0 <= least <= most):
        raise RequestRefused(f"temperature {temperature}, top_p {top_p} or {LEAST_TOKENS} {least} is out of range")
    return Generation(
        prompt=given["text_input"],
        most_tokens=most,
        least_tokens=least,
        temperature=temperature,
        top_p=top_p,
        top_k=given.get("sampling_param_top_k"),
        seed=int(given.get("sampling_param_seed", 0)),
        schema=schema,
        adapter=_adapter_of(given),
        streaming=bool(given.get("streaming", False)),
        seconds=(request.timeout() or int(parameters.get(TIMEOUT, 0))) / MICROSECONDS or None,
    )


def inputs_of(request: Any) -> dict[str, Any]:  # noqa: ANN401 - a Triton InferenceRequest
    """Return the single value of each input tensor, texts decoded; raises RequestRefused for other shapes or bytes."""
    given = {}
    for tensor in request.inputs():
        values = tensor.as_numpy().reshape(-1)
        if len(values) != 1:
            raise RequestRefused(f"{tensor.name()} has {len(values)} values, one is taken")
        value = values[0]
        try:
            given[tensor.name()] = value.decode() if isinstance(value, bytes) else value.item()
        except UnicodeDecodeError as broken:
            raise RequestRefused(f"{tensor.name()} is not UTF-8") from broken
    return given


def _adapter_of(given: Mapping[str, Any]) -> AdapterRequest | None:
    named = [name for name in LORA if name in given]
    if not named:
        return None
    if len(named) != len(LORA):
        raise AdapterRefused(
            adapter=str(given.get("lora_name", "")), because="lora_id, lora_name and lora_path belong together"
        )
    return AdapterRequest(name=given["lora_name"], lora_id=given["lora_id"], path=Path(given["lora_path"]))


def _texts(name: str, text: str) -> Any:  # noqa: ANN401 - a Triton tensor
    return backend.Tensor(name, np.array([text.encode()], dtype=object))
