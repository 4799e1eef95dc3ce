"""A model without weights, for load tests of everything around it: same tensors, and the answer stands in the prompt."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from tierproof_model_server.errors import ModelServerError
from tierproof_model_server.generation import Finish, Generated
from tierproof_model_server.settings import EngineSettings
from tierproof_model_server.wire import Responses, generation_of, parameters_of

ANSWER = re.compile(r"^<<<ANSWER\n(.*?)\n?^ANSWER>>>", re.DOTALL | re.MULTILINE)
WORD = re.compile(r"\s*\S+|\s+$")


def answer_in(prompt: str) -> str:
    """Return the text between the lines <<<ANSWER and ANSWER>>>, or else the last line."""
    marked = ANSWER.search(prompt)
    return marked.group(1) if marked else (prompt.strip().splitlines() or [""])[-1]


def said(prompt: str, most_tokens: int) -> tuple[tuple[str, ...], Finish]:
    """Return the answer's words, which are its tokens, and how it ends."""
    words = WORD.findall(answer_in(prompt))
    return tuple(words[:most_tokens]), "stop" if len(words) <= most_tokens else "length"


def lines(words: Sequence[str]) -> Iterator[str]:
    """Yield the deltas: a line each."""
    yield from re.findall(r"[^\n]*\n|[^\n]+", "".join(words))


class TritonPythonModel:
    """What Triton calls; the names are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the bounds."""
        given = parameters_of(args["model_config"])
        self._settings = EngineSettings(**json.loads(given["engine_settings"]))
        self._cap = int(given["most_output_tokens"])

    def execute(self, requests: Sequence[Any]) -> None:
        """Answer at once."""
        for request in requests:
            responses = Responses(request)
            try:
                asked = generation_of(request, self._settings)
            except ModelServerError as refused:
                responses.failed(refused)
                continue
            words, finish = said(asked.prompt, min(asked.most_tokens, self._cap))
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
