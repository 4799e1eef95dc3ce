"""Triton's model repository, written from a layout: one folder with config.pbtxt and 1/model.py for each model."""

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tierproof_model_server import digests
from tierproof_model_server.encoder_files import VOCABULARY, encoder_folder
from tierproof_model_server.encoder_files import WEIGHTS as ENCODER_WEIGHTS
from tierproof_model_server.errors import PreparationRefused
from tierproof_model_server.prepare import PreparedBase, verified_base, versions
from tierproof_model_server.settings import EngineSettings, ModelServerLayout, TierSettings
from tierproof_model_server.tensors import INPUTS, OUTPUTS, Tensor

BASE, TRIAGE = "tier_base", "triage"
NOTE = "S, M and L share one 135M stand-in (SmolLM2-135M-Instruct); no GPU engine runs here"


def write_repository(layout: ModelServerLayout) -> Path:
    """Write the repository anew and return its folder; raises PreparationRefused or PreparedBaseDamaged."""
    models = _models(layout)
    layout.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.home, prefix=".repository-") as scratch:
        fresh = Path(scratch) / "repository"
        for name, (module, parameters) in models.items():
            folder = fresh / name / "1"
            folder.mkdir(parents=True)
            (folder.parent / "config.pbtxt").write_text(_configuration(name, parameters))
            (folder / "model.py").write_text(
                f'"""Written by tierproof_model_server.repository."""\n\n'
                f"from tierproof_model_server.{module} import TritonPythonModel\n\n"
                '__all__ = ["TritonPythonModel"]\n'
            )
        shutil.rmtree(layout.repository, ignore_errors=True)
        fresh.rename(layout.repository)
    return layout.repository


def model_names(layout: ModelServerLayout) -> tuple[str, ...]:
    """Return the models of a layout in the order in which they are loaded: the base first, then what stands on it."""
    triage = (TRIAGE,) if layout.engine == "noop" or layout.heads is not None else ()
    return (BASE, *(tier.name for tier in layout.tiers), *triage)


def engine_digest(settings: EngineSettings, used: Mapping[str, str]) -> str:
    """Return the digest of what decides the numbers besides the weights: the settings and the versions of the engine."""
    return digests.of_json({"settings": settings.as_facts(), "versions": dict(used)})


def reported(layout: ModelServerLayout) -> dict[str, str]:
    """Return the digests that every model reports in its configuration."""
    shared = {"engine": layout.engine, "decode_mode": "reproducible", "shared_base": NOTE}
    if layout.engine == "noop":
        nothing = digests.of_bytes(b"")
        return {
            **shared,
            "weights_digest": nothing,
            "tokenizer_digest": nothing,
            "engine_digest": engine_digest(layout.settings, {}),
        }
    base = _base_of(layout)
    return {
        **shared,
        "weights_digest": base.weights_digest,
        "tokenizer_digest": base.tokenizer_digest,
        "template_adapter_digest": base.files["zero_adapter.safetensors"],
        "engine_digest": engine_digest(layout.settings, versions()),
    }


def reported_of_triage(layout: ModelServerLayout) -> dict[str, str]:
    """Return the digests that the model `triage` reports: encoder and heads together, vocabulary, settings and versions."""
    if layout.engine == "noop" or layout.heads is None:
        return reported(layout)
    encoder = encoder_folder()
    files = {name: digests.of_file(encoder / name) for name in (ENCODER_WEIGHTS, VOCABULARY)}
    weights = {ENCODER_WEIGHTS: files[ENCODER_WEIGHTS], layout.heads.name: digests.of_file(layout.heads)}
    return {
        "engine": layout.engine,
        "decode_mode": "reproducible",
        "weights_digest": digests.of_listing(weights, weights),
        "tokenizer_digest": files[VOCABULARY],
        "engine_digest": engine_digest(layout.settings, triage_versions()),
    }


def triage_versions() -> dict[str, str]:
    """Return the versions of the packages on which a reading depends."""
    return {name: importlib.metadata.version(name) for name in ("openvino", "tokenizers", "numpy")}


def _triage(layout: ModelServerLayout) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the model `triage` where there is one."""
    whole = TierSettings(name=TRIAGE, most_output_tokens=layout.settings.most_output_tokens)
    facts = reported_of_triage(layout) | _limits(whole, layout)
    facts["engine_settings"] = json.dumps(layout.settings.as_facts(), sort_keys=True)
    if layout.engine == "noop":
        return {TRIAGE: ("noop_model", facts)}
    if layout.heads is None:
        return {}
    places = {"encoder": str(encoder_folder().absolute()), "heads": str(layout.heads.absolute())}
    return {TRIAGE: ("triage_model", facts | places)}


def _models(layout: ModelServerLayout) -> dict[str, tuple[str, dict[str, str]]]:
    """Return each model's module and parameters."""
    shared = reported(layout) | {"engine_settings": json.dumps(layout.settings.as_facts(), sort_keys=True)}
    whole = TierSettings(name=BASE, most_output_tokens=layout.settings.most_output_tokens)
    if layout.engine == "noop":
        thin = {tier.name: ("noop_model", shared | _limits(tier, layout)) for tier in (whole, *layout.tiers)}
        return thin | _triage(layout)
    base = shared | {
        "base": str(_base_of(layout).folder.absolute()),
        "adapters": str(layout.adapters.absolute()),
        "scratch": str((layout.home / "adapter-copies").absolute()),
    }
    tiers = {tier.name: ("tier_model", shared | _limits(tier, layout)) for tier in layout.tiers}
    return {BASE: ("base_model", base | _limits(whole, layout)), **tiers, **_triage(layout)}


def _limits(tier: TierSettings, layout: ModelServerLayout) -> dict[str, str]:
    settings = layout.settings
    return {
        "most_output_tokens": str(tier.most_output_tokens),
        "default_temperature": str(tier.default_temperature),
        "most_forwarded": str(settings.most_sequences + settings.most_waiting),
        "cancel_poll_seconds": str(settings.cancel_poll_seconds),
    }


def _base_of(layout: ModelServerLayout) -> PreparedBase:
    if layout.base is None:
        raise PreparationRefused(expected="the folder of a prepared base", found="none in the layout")
    return verified_base(layout.base)


def _configuration(name: str, parameters: Mapping[str, str]) -> str:
    lines = [
        f"name: {_quoted(name)}",
        'backend: "python"',
        "max_batch_size: 0",
        "model_transaction_policy { decoupled: true }",
        *(_tensor("input", tensor) for tensor in INPUTS),
        *(_tensor("output", tensor) for tensor in OUTPUTS),
        "instance_group [ { kind: KIND_CPU count: 1 } ]",
        *(
            f"parameters {{ key: {_quoted(key)} value: {{ string_value: {_quoted(value)} }} }}"
            for key, value in sorted(parameters.items())
        ),
    ]
    return "\n".join(lines) + "\n"


def _tensor(side: str, tensor: Tensor) -> str:
    optional = " optional: true" if side == "input" and tensor.optional else ""
    return f"{side} {{ name: {_quoted(tensor.name)} data_type: {tensor.kind} dims: [ 1 ]{optional} }}"


def _quoted(text: str) -> str:
    """Return a text as a protobuf string literal; JSON's escapes of ASCII are a part of protobuf's."""
    return json.dumps(text)
