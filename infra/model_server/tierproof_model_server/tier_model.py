"""The thin models tier_s, tier_m, tier_l: each passes a request to `tier_base` under its own decode limits.

Triton 2.51 does not carry a cancellation from here to the base model. So each inner request has a random name, and a watching thread
tells the base to cancel that name when the client has gone.
"""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import numpy as np
import triton_python_backend_utils as backend

from tierproof_model_server.errors import GenerationFailed
from tierproof_model_server.tensors import CANCEL, CANCEL_KEY, FAILED, OUTPUTS, REFUSED, TIMEOUT
from tierproof_model_server.wire import FINAL, error_of, parameters_of

NAMES = [tensor.name for tensor in OUTPUTS]
BASE = "tier_base"
MOST_TOKENS, TEMPERATURE = "sampling_param_max_tokens", "sampling_param_temperature"


class TritonPythonModel:
    """What Triton calls; the names are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the limits and start the watch."""
        given = parameters_of(args["model_config"])
        self._cap, self._temperature = int(given["most_output_tokens"]), float(given["default_temperature"])
        self._threads = ThreadPoolExecutor(int(given["most_forwarded"]))
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._poll = float(given["cancel_poll_seconds"])
        self._watch = threading.Thread(target=self._watching, name="watch", daemon=True)
        self._watch.start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Pass requests on, each in a thread of its own."""
        for request in requests:
            self._threads.submit(self._forward, request, request.get_response_sender())

    def finalize(self) -> None:
        """Stop the threads."""
        self._closing.set()
        self._watch.join()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forward(self, request: Any, sender: Any) -> None:  # noqa: ANN401 - Triton's request and sender
        key = uuid4().hex
        with self._lock:
            self._open[key] = sender
        ended = False
        try:
            for response in self._inner(request, key).exec(decoupled=True):
                if not ended and (response.has_error() or response.output_tensors()):
                    ended = _pass_on(response, sender)
        except (backend.TritonModelException, ValueError) as broken:
            if not ended:
                ended = _end(sender, f"the base model failed: {broken}")
        finally:
            with self._lock:
                del self._open[key]
            if not ended:
                _end(sender, "the base model ended the stream without an end")

    def _inner(self, request: Any, key: str) -> Any:  # noqa: ANN401 - Triton's request
        """Return the request for the base: capped tokens, this tier's temperature where none is given, a name to cancel it by."""
        inputs = {tensor.name(): tensor for tensor in request.inputs()}
        asked = inputs[MOST_TOKENS].as_numpy().reshape(-1)[0] if MOST_TOKENS in inputs else self._cap
        inputs[MOST_TOKENS] = backend.Tensor(MOST_TOKENS, np.array([min(asked, self._cap)], dtype=np.int32))
        if TEMPERATURE not in inputs:
            inputs[TEMPERATURE] = backend.Tensor(TEMPERATURE, np.array([self._temperature], dtype=np.float32))
        return backend.InferenceRequest(
            model_name=BASE,
            inputs=list(inputs.values()),
            requested_output_names=NAMES,
            request_id=request.request_id(),
            parameters={**json.loads(request.parameters() or "{}"), CANCEL_KEY: key, TIMEOUT: request.timeout()},
        )

    def _watching(self) -> None:
        while not self._closing.wait(self._poll):
            with self._lock:
                cancelled = [key for key, sender in self._open.items() if sender.is_cancelled()]
            for key in cancelled:
                text = backend.Tensor("text_input", np.array([b""], dtype=object))
                cancel = backend.InferenceRequest(
                    model_name=BASE, inputs=[text], requested_output_names=NAMES, parameters={CANCEL: key}
                )
                for _ in cancel.exec(decoupled=True):
                    pass


def _pass_on(response: Any, sender: Any) -> bool:  # noqa: ANN401 - Triton's response and sender
    """Send one response of the base on, and tell whether it was the last one, which carries the final flag."""
    if response.has_error():
        sender.send(backend.InferenceResponse(error=response.error()), flags=FINAL)
        return True
    outputs = {tensor.name(): tensor for tensor in response.output_tensors()}
    finish = _text(outputs["finish_reason"]) if "finish_reason" in outputs else None
    if finish in (REFUSED, FAILED):
        error = error_of(_text(outputs["text_output"]), refused=finish == REFUSED)
        sender.send(backend.InferenceResponse(error=error), flags=FINAL)
        return True
    sender.send(backend.InferenceResponse(output_tensors=list(outputs.values())), flags=FINAL if finish else 0)
    return finish is not None


def _text(tensor: Any) -> str:  # noqa: ANN401 - Triton's tensor
    return str(tensor.as_numpy().reshape(-1)[0].decode())


def _end(sender: Any, because: str) -> bool:  # noqa: ANN401 - Triton's sender
    error = GenerationFailed(because=because)
    sender.send(
        backend.InferenceResponse(error=backend.TritonError(f"GenerationFailed: {error.diagnosis()}")), flags=FINAL
    )
    return True
