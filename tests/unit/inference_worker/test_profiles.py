"""Three ways to name tensors: what is sent, what is demanded, what is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_inference_worker.chunks import Generated, assembled
from tierproof_inference_worker.errors import ProfileMismatch, UnfitAnswer
from tierproof_inference_worker.profiles import PROFILES, Capabilities, Lora, Order, Profile, compared, tensors_of

EVERY = sorted(PROFILES)
ORDER = Order(text="hello", max_tokens=8, temperature_micro=700_000, top_p_micro=950_000, top_k=5, seed=11)
LORA = Lora(name="code-review", path="/adapters/code-review", number=2**62)

pytestmark = pytest.mark.requirement("S2-serving")


def declared(profile: Profile) -> tuple[dict[str, str], dict[str, str]]:
    inputs: dict[str, str] = dict(profile.inputs.values())
    inputs |= dict.fromkeys(profile.asks, "BOOL")
    return inputs, dict.fromkeys(profile.outputs.values(), "BYTES")


def able(profile: Profile) -> Capabilities:
    return compared(profile, *declared(profile))


@pytest.mark.parametrize("name", EVERY)
def test_a_server_of_its_own_profile_fits_and_can_do_everything(name: str) -> None:
    found = able(PROFILES[name])
    assert found.schema
    assert found.lora


@pytest.mark.parametrize("name", EVERY)
def test_each_needed_tensor_is_demanded(name: str) -> None:
    profile = PROFILES[name]
    for role in profile.needed:
        inputs, outputs = declared(profile)
        del inputs[profile.inputs[role][0]]
        with pytest.raises(ProfileMismatch, match=profile.inputs[role][0]):
            compared(profile, inputs, outputs)


@pytest.mark.parametrize("name", EVERY)
def test_a_tensor_of_another_datatype_is_a_mismatch(name: str) -> None:
    inputs, outputs = declared(PROFILES[name])
    for tensor in dict(PROFILES[name].inputs.values()):
        with pytest.raises(ProfileMismatch, match=f"{tensor} .* is FP64"):
            compared(PROFILES[name], inputs | {tensor: "FP64"}, outputs)


def test_no_profile_fits_another_ones_server() -> None:
    for profile in PROFILES.values():
        for other in PROFILES.values():
            if other is not profile:
                with pytest.raises(ProfileMismatch):
                    compared(profile, *declared(other))


def test_schema_and_adapters_are_extras_that_a_server_may_lack() -> None:
    profile = PROFILES["trtllm-llmapi"]
    inputs, outputs = declared(profile)
    for name in ("tierproof_json_schema", "lora_id", "lora_name", "lora_path"):
        del inputs[name]
    found = compared(profile, inputs, outputs)
    assert (found.schema, found.lora) == (False, False)


def test_the_llmapi_profile_addresses_adapters_by_number_name_and_path() -> None:
    profile = PROFILES["trtllm-llmapi"]
    order = Order(text="x", max_tokens=1, temperature_micro=0, top_p_micro=1_000_000, top_k=None, seed=0, lora=LORA)
    sent = {name: tensor.value for name, tensor in tensors_of(order, profile, able(profile)).items()}
    assert (sent["lora_id"], sent["lora_name"], sent["lora_path"]) == (LORA.number, LORA.name, LORA.path)
    assert "sampling_param_top_k" not in sent
    assert "tierproof_json_schema" not in sent


def test_the_vllm_profile_puts_everything_into_one_text() -> None:
    profile = PROFILES["vllm"]
    order = Order(
        text="hello", max_tokens=8, temperature_micro=0, top_p_micro=1_000_000, top_k=None, seed=3,
        schema='{"type":"object"}', lora=LORA,
    )  # fmt: skip
    sent = {name: tensor.value for name, tensor in tensors_of(order, profile, able(profile)).items()}
    assert json.loads(str(sent["sampling_parameters"])) == {
        "max_tokens": 8, "temperature": 0.0, "top_p": 1.0, "seed": 3, "lora_name": "code-review",
        "structured_outputs": {"json": {"type": "object"}},
    }  # fmt: skip
    assert sent["exclude_input_in_output"] is True
    assert "lora_path" not in sent


def test_the_ifb_profile_names_its_adapter_by_task_id_and_its_schema_by_type() -> None:
    profile = PROFILES["trtllm-ifb"]
    order = Order(
        text="x", max_tokens=1, temperature_micro=0, top_p_micro=1_000_000, top_k=None, seed=0, schema="{}", lora=LORA
    )
    sent = {name: tensor.value for name, tensor in tensors_of(order, profile, able(profile)).items()}
    assert sent["lora_task_id"] == LORA.number
    assert (sent["guided_decoding_guide_type"], sent["guided_decoding_guide"]) == ("json_schema", "{}")


@pytest.mark.parametrize("name", EVERY)
def test_what_is_sent_was_declared(name: str) -> None:
    profile = PROFILES[name]
    inputs, _ = declared(profile)
    for tensor, sent in tensors_of(ORDER, profile, able(profile)).items():
        assert inputs[tensor] == sent.datatype


WORDS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6)


@given(parts=WORDS)
def test_deltas_and_cumulative_texts_lead_to_the_same_text(parts: list[str]) -> None:
    deltas = [{"text": part} for part in parts]
    growing = [{"text": "".join(parts[: n + 1])} for n in range(len(parts))]
    final = {"text": "", "finish_reason": "stop"}
    assert assembled([*deltas, final], cumulative=False) == assembled([*growing, final], cumulative=True)
    assert assembled([*deltas, final], cumulative=False).text == "".join(parts)


def test_numbers_may_come_as_texts() -> None:
    """One version of TensorRT-LLM's model.py sends strings where its configuration says FP32."""
    chunk = {"text": "x", "finish_reason": "length", "cumulative_logprob": "-1.25", "output_tokens": "4"}
    assert assembled([chunk], cumulative=True) == Generated(
        text="x", finish_reason="length", cumulative_logprob=-1.25, output_tokens=4
    )


@pytest.mark.parametrize("odd", ["nan", "inf", "many", None])
def test_a_logprob_that_is_no_number_counts_as_not_sent(odd: str | None) -> None:
    assert assembled([{"text": "x", "cumulative_logprob": odd}], cumulative=True).cumulative_logprob is None


@pytest.mark.parametrize("facts", ['{"ids":[1,2],"logprobs":[-0.1,-2.5]}', "[-0.1,-2.5]"])
def test_the_lowest_log_probability_comes_from_the_tokens(facts: str) -> None:
    found = assembled([{"text": "x", "token_logprobs": facts}], cumulative=True)
    assert (found.lowest_logprob, found.output_tokens) == (-2.5, 2)


def test_a_stream_without_a_chunk_is_no_answer() -> None:
    with pytest.raises(UnfitAnswer):
        assembled([], cumulative=True)


def test_a_server_with_our_extensions_streams_deltas_and_plain_llmapi_repeats_itself() -> None:
    profile = PROFILES["trtllm-llmapi"]
    inputs, outputs = declared(profile)
    assert compared(profile, inputs, outputs).cumulative is False
    del outputs["tierproof_token_logprobs"]
    assert compared(profile, inputs, outputs).cumulative is True


def test_our_own_model_server_declares_what_the_profile_expects() -> None:
    from tierproof_model_server.tensors import INPUTS, OUTPUTS  # noqa: PLC0415 - the other side of the wire

    wire = {"TYPE_STRING": "BYTES"}
    inputs = {tensor.name: wire.get(tensor.kind, tensor.kind.removeprefix("TYPE_")) for tensor in INPUTS}
    outputs = {tensor.name: tensor.kind for tensor in OUTPUTS}
    profile = PROFILES["trtllm-llmapi"]
    assert compared(profile, inputs, outputs).schema
    assert set(profile.outputs.values()) == set(outputs)
