"""The thin models tier_s, tier_m, tier_l: each passes a request to `tier_base` under its own decode limits.

Triton 2.51 does not carry a cancellation from here to the base model. So each inner request has a random name, and a watching thread
tells the base to cancel that name when the client has gone.
"""

import contextlib
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


class Client:
    """Who asked this tier. To ask Triton about a client while its last response is sent kills the whole server, hence the lock."""

    def __init__(self, sender: Any) -> None:  # noqa: ANN401 - Triton's response sender
        self._sender, self._lock = sender, threading.Lock()
        self.ended = False
        self.cancelled = False  # the base was told; only the watch looks at it

    def gone(self) -> bool:
        """Tell whether the client cancelled and still waits for an end."""
        with self._lock:
            return not self.ended and bool(self._sender.is_cancelled())

    def send(self, response: Any, *, last: bool) -> None:  # noqa: ANN401 - Triton's response
        """Send a response; nothing after the last one."""
        with self._lock:
            if not self.ended:
                self.ended = last
                self._sender.send(response, flags=FINAL if last else 0)

    def fail(self, message: str, *, refused: bool) -> None:
        """Send an error as the last response."""
        self.send(backend.InferenceResponse(error=error_of(message, refused=refused)), last=True)


class TritonPythonModel:
    """What Triton calls; the names are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the limits and start the watch."""
        given = parameters_of(args["model_config"])
        self._cap, self._temperature = int(given["most_output_tokens"]), float(given["default_temperature"])
        self._threads = ThreadPoolExecutor(int(given["most_forwarded"]))
        self._open: dict[str, Client] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._poll = float(given["cancel_poll_seconds"])
        self._watch = threading.Thread(target=self._watching, name="watch", daemon=True)
        self._watch.start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Pass requests on, each in a thread of its own."""
        for request in requests:
            self._threads.submit(self._forward, request, Client(request.get_response_sender()))

    def finalize(self) -> None:
        """Stop the threads."""
        self._closing.set()
        self._watch.join()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forward(self, request: Any, client: Client) -> None:  # noqa: ANN401 - Triton's request
        key = uuid4().hex
        with self._lock:
            self._open[key] = client
        try:
            for response in self._inner(request, key).exec(decoupled=True):
                _pass_on(response, client)
            because = "the base model ended the stream without an end"
        except (backend.TritonModelException, ValueError) as broken:
            because = f"the base model failed: {broken}"
        finally:
            with self._lock:
                del self._open[key]
        if not client.ended:
            error = GenerationFailed(because=because)
            client.fail(f"{type(error).__name__}: {error.diagnosis()}", refused=False)

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
                waiting = list(self._open.items())
            for key, client in waiting:
                if not client.cancelled and client.gone():
                    client.cancelled = True
                    self._threads.submit(_cancel, key)  # not here: a dead base would hold the watch for ever


def _cancel(key: str) -> None:
    """Tell the base to stop the request of this name; if the base is gone, there is nothing to stop."""
    text = backend.Tensor("text_input", np.array([b""], dtype=object))
    request = backend.InferenceRequest(
        model_name=BASE, inputs=[text], requested_output_names=NAMES, parameters={CANCEL: key}
    )
    with contextlib.suppress(backend.TritonModelException):
        for _ in request.exec(decoupled=True):
            pass


def _pass_on(response: Any, client: Client) -> None:  # noqa: ANN401 - Triton's response
    """Send one response of the base on; its last one carries the finish reason."""
    if response.has_error():
        client.send(backend.InferenceResponse(error=response.error()), last=True)
        return
    outputs = {tensor.name(): tensor for tensor in response.output_tensors()}
    if not outputs:
        return
    finish = _text(outputs["finish_reason"]) if "finish_reason" in outputs else None
    if finish in (REFUSED, FAILED):
        client.fail(_text(outputs["text_output"]), refused=finish == REFUSED)
        return
    client.send(backend.InferenceResponse(output_tensors=list(outputs.values())), last=finish is not None)


def _text(tensor: Any) -> str:  # noqa: ANN401 - Triton's tensor
    return str(tensor.as_numpy().reshape(-1)[0].decode())
