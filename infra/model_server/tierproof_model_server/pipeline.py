"""OpenVINO GenAI's continuous batching with one active adapter, as the engine uses it."""

from pathlib import Path
from typing import Any

import openvino_genai as genai

from tierproof_model_server.adapters import CheckedAdapter
from tierproof_model_server.errors import PromptTooLong, RequestRefused
from tierproof_model_server.generation import Generation
from tierproof_model_server.prepare import TEMPLATE
from tierproof_model_server.settings import EngineSettings

Handle = Any  # openvino_genai.GenerationHandle; the package publishes no types
ENGINE_ERRORS = (RuntimeError, ValueError, TypeError)  # what its C++ exceptions become

CHAT_MARKERS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")


class Pipeline:
    """The model in memory. Not safe for threads: the engine's thread alone uses it.

    `add_request` silently ignores an adapter in its configuration; only `generate` applies one, so `switch` generates one token.
    """

    def __init__(self, *, base: Path, scratch: Path, settings: EngineSettings) -> None:
        self._settings, self._scratch = settings, scratch
        self._loaded: dict[str, Any] = {}
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = settings.cache_gigabytes
        scheduler.max_num_batched_tokens = settings.most_batched_tokens
        scheduler.max_num_seqs = settings.most_sequences
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = False  # its key does not hold the adapter
        properties = {
            "INFERENCE_NUM_THREADS": settings.threads,
            "INFERENCE_PRECISION_HINT": settings.precision,
            "KV_CACHE_PRECISION": settings.cache_precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": settings.dynamic_quantization_group,
            "adapters": genai.AdapterConfig(genai.Adapter(str(base / TEMPLATE))),
        }
        self._pipe = genai.ContinuousBatchingPipeline(str(base), scheduler, "CPU", properties)
        self._tokenizer = self._pipe.get_tokenizer()
        self.switch(None)

    def switch(self, adapter: CheckedAdapter | None) -> None:
        """Make an adapter, or none, the one under which all following requests run. Nothing may be running."""
        one_token = genai.GenerationConfig()
        one_token.max_new_tokens, one_token.do_sample, one_token.apply_chat_template = 1, False, False
        one_token.adapters = genai.AdapterConfig()
        if adapter is not None:
            one_token.adapters.add(self._adapter(adapter), adapter.alpha)
        self._pipe.generate(["x"], [one_token])

    def tokens(self, request: Generation) -> Any:  # noqa: ANN401 - an openvino.Tensor
        """Return the prompt's token ids, shape (1, tokens); raises PromptTooLong, and RequestRefused for a prompt that forges turns."""
        settings, text = self._settings, request.prompt
        if len(text.encode()) > settings.most_prompt_bytes:
            raise PromptTooLong(size=len(text.encode()), limit=settings.most_prompt_bytes, unit="bytes")
        if not request.raw:
            if any(
                marker in text for marker in CHAT_MARKERS
            ):  # the tokenizer would read them as the end of the user's turn
                raise RequestRefused("the prompt holds a chat marker; write it in another way")
            text = self._tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)
        ids = self._tokenizer.encode(text, add_special_tokens=False).input_ids
        if ids.shape[1] > settings.most_prompt_tokens:
            raise PromptTooLong(size=ids.shape[1], limit=settings.most_prompt_tokens, unit="tokens")
        return ids

    def add(self, number: int, ids: Any, request: Generation) -> Handle:  # noqa: ANN401 - an openvino.Tensor
        """Queue a request under the current adapter."""
        return self._pipe.add_request(number, ids, _configuration(request))

    def step(self) -> None:
        """Compute one batch: the next tokens of running requests, and pieces of prompts."""
        self._pipe.step()

    def busy(self) -> bool:
        """Tell whether any request, cancelled ones included, still holds a part of the cache."""
        return bool(self._pipe.has_non_finished_requests())

    def text(self, ids: list[int]) -> str:
        """Return the text of token ids, without special tokens."""
        return str(self._tokenizer.decode(ids)) if ids else ""

    def _adapter(self, adapter: CheckedAdapter) -> Any:  # noqa: ANN401 - an openvino_genai.Adapter
        if adapter.digest not in self._loaded:
            if len(self._loaded) >= self._settings.most_adapters:
                self._loaded.pop(next(iter(self._loaded)))
            copy = self._scratch / f"{adapter.digest.removeprefix('sha256:')}.safetensors"
            copy.write_bytes(adapter.weights)  # what was checked is what is loaded
            self._loaded[adapter.digest] = genai.Adapter(str(copy))
        return self._loaded[adapter.digest]


def _configuration(request: Generation) -> Any:  # noqa: ANN401 - an openvino_genai.GenerationConfig
    config = genai.GenerationConfig()
    config.max_new_tokens, config.min_new_tokens = request.most_tokens, request.least_tokens
    config.logprobs = 1
    config.do_sample = request.temperature > 0
    if config.do_sample:
        config.temperature, config.top_p, config.rng_seed = request.temperature, request.top_p, request.seed
        if request.top_k is not None:
            config.top_k = request.top_k
    if request.schema is not None:
        config.structured_output_config = genai.StructuredOutputConfig(json_schema=request.schema)
    config.validate()
    return config
