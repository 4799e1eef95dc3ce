"""A model without weights, for load tests of everything around it: same tensors, and the answer stands in the prompt."""

import json
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from tierproof_model_server.errors import ModelServerError
from tierproof_model_server.generation import Generated
from tierproof_model_server.noop_answers import TRIAGE, answer_in, lines, reading_in, said
from tierproof_model_server.settings import EngineSettings
from tierproof_model_server.wire import Responses, generation_of, parameters_of


class TritonPythonModel:
    """What Triton calls; the names are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the bounds."""
        given = parameters_of(args["model_config"])
        self._settings = EngineSettings(**json.loads(given["engine_settings"]))
        self._cap = int(given["most_output_tokens"])
        self._answer = reading_in if json.loads(args["model_config"])["name"] == TRIAGE else answer_in

    def execute(self, requests: Sequence[Any]) -> None:
        """Answer at once."""
        for request in requests:
            responses = Responses(request)
            try:
                asked = generation_of(request, self._settings)
            except ModelServerError as refused:
                responses.failed(refused)
                continue
            words, finish = said(self._answer(asked.prompt), min(asked.most_tokens, self._cap))
            *first, rest = list(lines(words)) or [""]
            if asked.streaming:
                for delta in first:
                    responses.delta(delta)
            else:
                rest = "".join(words)
            ids = tuple(crc32(word.encode()) for word in words)
            responses.finished(
                Generated(
                    rest=rest,
                    finish=finish,
                    ids=ids,
                    logprobs=(0.0,) * len(ids),
                    prompt_tokens=len(asked.prompt.split()),
                )
            )
