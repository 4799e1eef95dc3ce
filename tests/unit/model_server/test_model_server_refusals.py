"""What is refused before an engine sees it: adapters and schemas."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_model_server import digests, safetensors
from tierproof_model_server.adapters import CONFIG, WEIGHTS, AdapterRequest, CheckedAdapter, checked
from tierproof_model_server.errors import AdapterRefused, SchemaRefused
from tierproof_model_server.geometry import Geometry
from tierproof_model_server.reference_adapters import ReferenceAdapter, write_reference_adapter
from tierproof_model_server.schema import accepted

SMALL = Geometry(layers=2, width=32, feed_forward=64, heads=4, kv_heads=2, vocabulary=128)


@pytest.fixture
def adapter(tmp_path: Path) -> ReferenceAdapter:
    return write_reference_adapter(tmp_path, name="amber", seed=1, geometry=SMALL, rank=2)


def check(adapter: ReferenceAdapter, *, lora_id: int | None = None, most_bytes: int = 10_000_000) -> CheckedAdapter:
    """Check the adapter under the id of whatever its file holds now, unless another id is given."""
    now = digests.lora_id_of(digests.of_file(adapter.folder / WEIGHTS))
    asked = AdapterRequest(name=adapter.name, lora_id=now if lora_id is None else lora_id, path=adapter.folder)
    return checked(asked, root=adapter.folder.parent, geometry=SMALL, most_bytes=most_bytes)


def test_reference_adapter_is_accepted_with_its_scaling(adapter: ReferenceAdapter) -> None:
    found = check(adapter, lora_id=adapter.lora_id)
    assert (found.alpha, found.digest) == (2.0, adapter.digest)


def test_reference_adapters_of_one_seed_are_equal_and_of_two_differ(tmp_path: Path) -> None:
    made = [
        write_reference_adapter(tmp_path / str(number), name="a", seed=seed, geometry=SMALL).digest
        for number, seed in enumerate((1, 1, 2))
    ]
    assert made[0] == made[1] != made[2]


def test_another_digest_is_refused(adapter: ReferenceAdapter) -> None:
    with pytest.raises(AdapterRefused, match="sha256"):
        check(adapter, lora_id=adapter.lora_id + 1)


def test_an_adapter_of_another_base_is_refused_and_one_that_names_none_is_not(adapter: ReferenceAdapter) -> None:
    content = (adapter.folder / WEIGHTS).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header.setdefault("__metadata__", {})["base"] = "sha256:" + "1" * 64
    text = json.dumps(header).encode()
    (adapter.folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    asked = AdapterRequest(
        name=adapter.name, lora_id=digests.lora_id_of(digests.of_file(adapter.folder / WEIGHTS)), path=adapter.folder
    )
    root = adapter.folder.parent
    checked(asked, root=root, geometry=SMALL, most_bytes=10_000_000, source="sha256:" + "1" * 64)
    with pytest.raises(AdapterRefused, match="trained on"):
        checked(asked, root=root, geometry=SMALL, most_bytes=10_000_000, source="sha256:" + "2" * 64)
    (adapter.folder / WEIGHTS).write_bytes(content)
    asked = AdapterRequest(name=adapter.name, lora_id=adapter.lora_id, path=adapter.folder)
    found = checked(asked, root=root, geometry=SMALL, most_bytes=10_000_000, source="sha256:" + "2" * 64)
    assert found.digest == adapter.digest


@given(cut=st.integers(min_value=1, max_value=3000))
def test_any_cut_file_is_refused_even_under_its_own_digest(cut: int) -> None:
    content = safetensors.encode({}, {"padding": "x" * 3000})
    with pytest.raises(safetensors.Unreadable):
        safetensors.decode_header(content[:-cut])


def test_padded_file_is_refused(adapter: ReferenceAdapter) -> None:
    weights = adapter.folder / WEIGHTS
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(AdapterRefused, match="promises"):
        check(adapter)


def test_size_is_bounded(adapter: ReferenceAdapter) -> None:
    with pytest.raises(AdapterRefused, match="larger"):
        check(adapter, most_bytes=100)


def test_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    wider = Geometry(layers=2, width=64, feed_forward=64, heads=4, kv_heads=2, vocabulary=128)
    deeper = Geometry(layers=3, width=32, feed_forward=64, heads=4, kv_heads=2, vocabulary=128)
    with pytest.raises(AdapterRefused, match="has shape"):
        check(write_reference_adapter(tmp_path, name="wider", seed=1, geometry=wider))
    with pytest.raises(AdapterRefused, match="binds to nothing"):
        check(write_reference_adapter(tmp_path, name="deeper", seed=1, geometry=deeper))


def test_changed_alpha_is_refused_where_the_weights_repeat_it(adapter: ReferenceAdapter) -> None:
    config = adapter.folder / CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 400.0}))
    with pytest.raises(AdapterRefused, match="contradicts"):
        check(adapter)


def test_path_outside_the_root_is_refused_even_through_a_link(adapter: ReferenceAdapter, tmp_path: Path) -> None:
    inside = tmp_path / "root"
    inside.mkdir()
    (inside / "amber").symlink_to(adapter.folder)
    asked = AdapterRequest(name="amber", lora_id=adapter.lora_id, path=inside / "amber")
    with pytest.raises(AdapterRefused, match="not below"):
        checked(asked, root=inside, geometry=SMALL, most_bytes=10_000_000)


@pytest.mark.parametrize(
    ("schema", "because"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"type": "nonsense"}', "not a JSON schema"),
        ('{"properties": {"a": {"$ref": "http://elsewhere"}}}', "not supported"),
        ('{"items": {"pattern": "(a+)+$"}}', "not supported"),
        ('{"anyOf": [{"type": "string"}, {"not": {}}]}', "not supported"),
        (json.dumps({"const": "x" * 1000}), "larger"),
        ('{"items":' * 9 + "{}" + "}" * 9, "nested"),
    ],
)
def test_schema_is_refused(schema: str, because: str) -> None:
    with pytest.raises(SchemaRefused, match=because):
        accepted(schema, most_bytes=900, most_depth=8)


def test_schema_may_have_properties_named_like_keywords() -> None:
    schema = {"type": "object", "properties": {"not": {"type": "string"}, "pattern": {"enum": [{"$ref": 1}]}}}
    assert json.loads(accepted(json.dumps(schema), most_bytes=900, most_depth=8)) == schema


def test_lora_id_is_the_first_63_bits() -> None:
    assert digests.lora_id_of("sha256:" + "f" * 64) == 2**63 - 1
    assert digests.lora_id_of("sha256:" + "0" * 15 + "2" + "f" * 48) == 1
