"""The tensors of every tier: those of TensorRT-LLM's llmapi model, and our declared extensions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """Name, Triton data type, and whether a request may leave it out. Every tensor has the shape (1,)."""

    name: str
    kind: str
    optional: bool = True


INPUTS = (
    Tensor("text_input", "TYPE_STRING", optional=False),
    Tensor("streaming", "TYPE_BOOL"),
    Tensor("sampling_param_max_tokens", "TYPE_INT32"),
    Tensor("sampling_param_temperature", "TYPE_FP32"),
    Tensor("sampling_param_top_p", "TYPE_FP32"),
    Tensor("sampling_param_top_k", "TYPE_INT32"),
    Tensor("sampling_param_seed", "TYPE_UINT64"),
    Tensor("return_finish_reason", "TYPE_BOOL"),
    Tensor("return_cumulative_logprob", "TYPE_BOOL"),
    Tensor("lora_id", "TYPE_UINT64"),
    Tensor("lora_name", "TYPE_STRING"),
    Tensor("lora_path", "TYPE_STRING"),
    Tensor("tierproof_json_schema", "TYPE_STRING"),
)
OUTPUTS = (
    Tensor("text_output", "TYPE_STRING"),
    Tensor("finish_reason", "TYPE_STRING"),
    Tensor("cumulative_logprob", "TYPE_FP32"),
    Tensor("tierproof_token_logprobs", "TYPE_STRING"),
    Tensor("tierproof_prompt_tokens", "TYPE_INT32"),
    Tensor("tierproof_output_tokens", "TYPE_INT32"),
)
CANCEL_KEY = (
    "tierproof_cancel_key"  # request parameter, proxy to base: the name under which this request can be cancelled
)
CANCEL = "tierproof_cancel"  # request parameter, proxy to base: cancel the request of that name; the text is ignored
LEAST_TOKENS = (
    "tierproof_min_tokens"  # request parameter: the end token is not taken before so many tokens (measurements)
)
TIMEOUT = (
    "tierproof_timeout"  # request parameter, proxy to base: the microseconds that the request has, 0 for the default
)
REFUSED, FAILED = (
    "tierproof/refused",
    "tierproof/failed",
)  # finish reasons, base to proxy: the text is an error's message
