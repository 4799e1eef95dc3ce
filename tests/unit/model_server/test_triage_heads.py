"""Triage heads: probabilities by hand, a reading that is canonical JSON, and files that are no heads."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tierproof_model_server import safetensors
from tierproof_model_server.errors import TriageHeadsDamaged
from tierproof_model_server.noop_answers import NOTHING_READ, reading_in
from tierproof_model_server.triage_heads import Heads

Parts = dict[str, npt.NDArray[np.float32]]
WIDTH, UNITS = 4, 3
LABELS = {"kind": ["fw", "doc"], "out_of_domain": ["no", "yes"]}
FACTS = {"labels": json.dumps(LABELS), "encoder": "sha256:0", "longest_tokens": "16", "sentence_ends": r"\n+"}


def tensors(temperature: float = 2.0) -> Parts:
    chance = np.random.default_rng(1)
    found: Parts = {}
    for label, names in LABELS.items():
        shapes = {"units": (UNITS, WIDTH), "units_bias": (UNITS,), "weight": (len(names), UNITS), "bias": (len(names),)}
        found |= {f"{label}.{part}": chance.normal(size=shape).astype(np.float32) for part, shape in shapes.items()}
        found[f"{label}.temperature"] = np.array([temperature], dtype=np.float32)
    return found


def written(path: Path, parts: Parts, facts: dict[str, str]) -> Path:
    path.write_bytes(safetensors.encode(parts, facts))
    return path


def test_probabilities_are_those_of_the_formula(tmp_path: Path) -> None:
    parts = tensors()
    head = Heads.read(written(tmp_path / "heads.safetensors", parts, FACTS)).by_label["kind"]
    states = np.random.default_rng(2).normal(size=(5, WIDTH)).astype(np.float32)
    signs = [
        max(0.0, *(float(row @ unit + bias) for row in states))
        for unit, bias in zip(parts["kind.units"], parts["kind.units_bias"], strict=True)
    ]
    scores = [
        (float(row @ np.array(signs, dtype=np.float32)) + float(bias)) / 2
        for row, bias in zip(parts["kind.weight"], parts["kind.bias"], strict=True)
    ]
    powers = np.exp(np.array(scores))
    assert head.probabilities(states) == pytest.approx(powers / powers.sum(), rel=1e-5)


def test_a_reading_is_canonical_json_of_whole_millionths(tmp_path: Path) -> None:
    heads = Heads.read(written(tmp_path / "heads.safetensors", tensors(), FACTS))
    reading = heads.reading(np.ones((2, WIDTH), dtype=np.float32))
    said = json.loads(reading)
    assert reading == json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert set(said) == {"kind", "kind_micro", "out_of_domain_micro"}
    assert said["kind"] in LABELS["kind"]
    assert 0 <= said["out_of_domain_micro"] <= 1_000_000
    assert 500_000 <= said["kind_micro"] <= 1_000_000


@pytest.mark.parametrize("missing", ["kind.units", "kind.bias", "out_of_domain.temperature"])
def test_heads_without_a_tensor_are_refused(tmp_path: Path, missing: str) -> None:
    parts = {name: value for name, value in tensors().items() if name != missing}
    with pytest.raises(TriageHeadsDamaged, match="fetch"):
        Heads.read(written(tmp_path / "heads.safetensors", parts, FACTS))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        FACTS | {"labels": "{}"},
        FACTS | {"longest_tokens": "many"},
        FACTS | {"labels": "["},
        FACTS | {"sentence_ends": "("},
    ],
)
def test_heads_without_their_facts_are_refused(tmp_path: Path, facts: dict[str, str]) -> None:
    with pytest.raises(TriageHeadsDamaged):
        Heads.read(written(tmp_path / "heads.safetensors", tensors(), facts))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_none_is_refused(tmp_path: Path, temperature: float) -> None:
    with pytest.raises(TriageHeadsDamaged):
        Heads.read(written(tmp_path / "heads.safetensors", tensors(temperature), FACTS))


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "heads.safetensors", tensors(), FACTS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TriageHeadsDamaged):
        Heads.read(path)
    path.write_bytes(b"")
    with pytest.raises(TriageHeadsDamaged):
        Heads.read(path)


def test_the_no_op_reading_stands_in_the_prompt_and_is_out_of_the_domain_by_default() -> None:
    assert reading_in('asked\n<<<TRIAGE\n{"kind":"x"}\nTRIAGE>>>\nmore') == '{"kind":"x"}'
    assert json.loads(reading_in("asked")) == NOTHING_READ
    assert NOTHING_READ["out_of_domain_micro"] == 1_000_000
