"""The model `triage`: the text of a request in, its reading as one line of JSON out. Tensors of the tiers; no adapters, no schemas."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tierproof_model_server.encoder import Encoder
from tierproof_model_server.errors import ModelServerError, PromptTooLong, RequestRefused
from tierproof_model_server.generation import Generated, Generation
from tierproof_model_server.settings import EngineSettings
from tierproof_model_server.triage_heads import KIND, MILLION, Heads
from tierproof_model_server.wire import Responses, generation_of, parameters_of


class TritonPythonModel:
    """What Triton calls; the names are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the encoder and read the heads."""
        given = parameters_of(args["model_config"])
        self._settings = EngineSettings(**json.loads(given["engine_settings"]))
        self._heads = Heads.read(Path(given["heads"]))
        self._encoder = Encoder(
            Path(given["encoder"]),
            threads=self._settings.threads,
            longest_tokens=self._heads.longest_tokens,
            sentence_ends=self._heads.sentence_ends,
        )

    def execute(self, requests: Sequence[Any]) -> None:
        """Read one request after the other: a few hundredths of a second each, and no neighbour changes a number."""
        for request in requests:
            responses = Responses(request)
            try:
                asked = _accepted(generation_of(request, self._settings), self._settings)
                reading = self._heads.reading(self._encoder.vectors(asked.prompt))
            except ModelServerError as refused:
                responses.failed(refused)
                continue
            share = max(1, json.loads(reading)[f"{KIND}_micro"]) / MILLION
            responses.finished(
                Generated(
                    rest=reading,
                    finish="stop",
                    ids=(0,),
                    logprobs=(math.log(share),),
                    prompt_tokens=self._encoder.length(asked.prompt),
                )
            )


def _accepted(asked: Generation, settings: EngineSettings) -> Generation:
    """Return a request that can be read; raises RequestRefused."""
    if asked.adapter is not None or asked.schema is not None:
        raise RequestRefused("triage takes no adapter and no schema; ask a tier")
    if not asked.prompt.strip():
        raise RequestRefused("text_input is empty; there is nothing to read")
    if len(size := asked.prompt.encode()) > settings.most_prompt_bytes:
        raise PromptTooLong(size=len(size), limit=settings.most_prompt_bytes, unit="bytes")
    return asked
