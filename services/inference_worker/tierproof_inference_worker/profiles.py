"""Three ways in which servers name their tensors, as data. Pure.

`trtllm-llmapi`: NVIDIA/TensorRT-LLM triton_backend/all_models/llmapi, and our own model server, which adds a JSON schema and per-token
log-probabilities. `vllm`: triton-inference-server/vllm_backend. `trtllm-ifb`: inflight_batcher_llm, gone upstream since 2026.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tierproof_inference_worker.errors import ProfileMismatch

ProfileName = Literal["trtllm-llmapi", "vllm", "trtllm-ifb"]
Datatype = Literal["BYTES", "BOOL", "INT32", "UINT64", "FP32"]
Adapters = Literal["by-path", "by-name", "by-task-id"]
MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input with its datatype and one value."""

    datatype: Datatype
    value: str | bool | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """An adapter as servers address it: name, folder on the server, and 63 bits of its digest."""

    name: str
    path: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One generation that is asked for."""

    text: str
    max_tokens: int
    temperature_micro: int
    top_p_micro: int
    top_k: int | None
    seed: int
    schema: str | None = None
    lora: Lora | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The names of one kind of server.

    `inputs` by role; those in `needed` must exist. `asks` are inputs that are always true: they ask for outputs. `cumulative`: each
    chunk repeats the text so far, except that a server which declares the output `deltas_with` sends only what is new.
    `sampling`: parameters travel as one JSON text in that input.
    """

    name: ProfileName
    inputs: Mapping[str, tuple[str, Datatype]]
    needed: frozenset[str]
    asks: tuple[str, ...]
    outputs: Mapping[str, str]
    cumulative: bool
    adapters: Adapters
    sampling: str | None = None
    deltas_with: str | None = None


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="trtllm-llmapi",
            inputs={
                "text": ("text_input", "BYTES"),
                "streaming": ("streaming", "BOOL"),
                "max_tokens": ("sampling_param_max_tokens", "INT32"),
                "temperature": ("sampling_param_temperature", "FP32"),
                "top_p": ("sampling_param_top_p", "FP32"),
                "top_k": ("sampling_param_top_k", "INT32"),
                "seed": ("sampling_param_seed", "UINT64"),
                "lora_id": ("lora_id", "UINT64"),
                "lora_name": ("lora_name", "BYTES"),
                "lora_path": ("lora_path", "BYTES"),
                "schema": ("tierproof_json_schema", "BYTES"),
            },
            needed=frozenset({"text", "streaming", "max_tokens", "temperature", "top_p", "seed"}),
            asks=("return_finish_reason", "return_cumulative_logprob"),
            outputs={
                "text": "text_output",
                "finish_reason": "finish_reason",
                "cumulative_logprob": "cumulative_logprob",
                "token_logprobs": "tierproof_token_logprobs",
                "prompt_tokens": "tierproof_prompt_tokens",
                "output_tokens": "tierproof_output_tokens",
            },
            cumulative=True,
            deltas_with="tierproof_token_logprobs",
            adapters="by-path",
        ),
        Profile(
            name="vllm",
            inputs={
                "text": ("text_input", "BYTES"),
                "streaming": ("stream", "BOOL"),
                "schema": ("sampling_parameters", "BYTES"),
                "lora_name": ("sampling_parameters", "BYTES"),
            },
            needed=frozenset({"text", "streaming", "schema"}),
            asks=(
                "exclude_input_in_output",
                "return_finish_reason",
                "return_cumulative_logprob",
                "return_num_input_tokens",
                "return_num_output_tokens",
            ),
            outputs={
                "text": "text_output",
                "finish_reason": "finish_reason",
                "cumulative_logprob": "cumulative_logprob",
                "prompt_tokens": "num_input_tokens",
                "output_tokens": "num_output_tokens",
            },
            cumulative=False,
            adapters="by-name",
            sampling="sampling_parameters",
        ),
        Profile(
            name="trtllm-ifb",
            inputs={
                "text": ("text_input", "BYTES"),
                "streaming": ("stream", "BOOL"),
                "max_tokens": ("max_tokens", "INT32"),
                "temperature": ("temperature", "FP32"),
                "top_p": ("top_p", "FP32"),
                "top_k": ("top_k", "INT32"),
                "seed": ("seed", "UINT64"),
                "lora_id": ("lora_task_id", "UINT64"),
                "schema": ("guided_decoding_guide", "BYTES"),
                "schema_type": ("guided_decoding_guide_type", "BYTES"),
            },
            needed=frozenset({"text", "streaming", "max_tokens", "temperature", "top_p", "seed"}),
            asks=("return_log_probs",),
            outputs={"text": "text_output", "cumulative_logprob": "cum_log_probs"},
            cumulative=True,
            adapters="by-task-id",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a server's model can do beyond the least, how it streams, and which inputs it declares."""

    schema: bool
    lora: bool
    cumulative: bool
    inputs: frozenset[str]


def compared(profile: Profile, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Capabilities:
    """Compare declared tensors (name: datatype) with a profile; raises ProfileMismatch naming each difference."""
    faults = [
        f"input {name} {datatype} is {inputs.get(name, 'missing')}"
        for role, (name, datatype) in profile.inputs.items()
        if (role in profile.needed or name in inputs) and inputs.get(name) != datatype
    ]
    if profile.outputs["text"] not in outputs:
        faults.append(f"output {profile.outputs['text']} is missing")
    if faults:
        raise ProfileMismatch(f"the server does not fit profile {profile.name}: {'; '.join(faults[:5])}")
    lora_roles = [role for role in profile.inputs if role.startswith("lora_")]
    return Capabilities(
        schema=profile.inputs["schema"][0] in inputs,
        lora=all(profile.inputs[role][0] in inputs for role in lora_roles),
        cumulative=profile.cumulative and profile.deltas_with not in outputs,
        inputs=frozenset(inputs),
    )


def tensors_of(order: Order, profile: Profile, able: Capabilities) -> dict[str, Tensor]:
    """Return the inputs of a request by name. Roles that the order leaves open are left out."""
    values = _values(order, profile)
    tensors = {
        name: Tensor(datatype=datatype, value=values[role])
        for role, (name, datatype) in profile.inputs.items()
        if role in values and name != profile.sampling
    }
    if profile.sampling is not None:
        tensors[profile.sampling] = Tensor(datatype="BYTES", value=json.dumps(_sampling(order), sort_keys=True))
    asked = {name: Tensor(datatype="BOOL", value=True) for name in profile.asks if name in able.inputs}
    return tensors | asked


def _values(order: Order, profile: Profile) -> dict[str, Any]:
    values: dict[str, Any] = {
        "text": order.text,
        "streaming": True,
        "max_tokens": order.max_tokens,
        "temperature": order.temperature_micro / MICRO,
        "top_p": order.top_p_micro / MICRO,
        "seed": order.seed,
    }
    if order.top_k is not None:
        values["top_k"] = order.top_k
    if order.schema is not None:
        values |= {"schema": order.schema, "schema_type": "json_schema"}
    if order.lora is not None:
        values["lora_id"] = order.lora.number
        if profile.adapters == "by-path":
            values |= {"lora_name": order.lora.name, "lora_path": order.lora.path}
    return values


def _sampling(order: Order) -> dict[str, Any]:
    sampling: dict[str, Any] = {
        "max_tokens": order.max_tokens,
        "temperature": order.temperature_micro / MICRO,
        "top_p": order.top_p_micro / MICRO,
        "seed": order.seed,
    }
    if order.top_k is not None:
        sampling["top_k"] = order.top_k
    if order.schema is not None:
        sampling["structured_outputs"] = {"json": json.loads(order.schema)}
    if order.lora is not None:
        sampling["lora_name"] = order.lora.name
    return sampling
