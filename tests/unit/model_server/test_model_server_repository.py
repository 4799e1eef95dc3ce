"""The model repository as files, and the header of GGUF."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from tierproof_model_server.errors import PreparationRefused
from tierproof_model_server.gguf import in_hugging_face_order, read_header
from tierproof_model_server.launch import clean_shared_memory, server_command
from tierproof_model_server.repository import engine_digest, write_repository
from tierproof_model_server.settings import EngineSettings, ModelServerLayout, ServerSettings


@pytest.fixture
def layout(tmp_path: Path) -> ModelServerLayout:
    return ModelServerLayout(home=tmp_path / "server", adapters=tmp_path / "adapters", engine="noop")


def test_each_tier_has_its_own_cap(layout: ModelServerLayout) -> None:
    repository = write_repository(layout)
    caps = {
        folder.name: re.findall(
            r'most_output_tokens" value: \{ string_value: "(\d+)"', (folder / "config.pbtxt").read_text()
        )
        for folder in repository.iterdir()
    }
    assert caps == {
        "tier_s": ["128"],
        "tier_m": ["256"],
        "tier_l": ["512"],
        "tier_base": ["1024"],
        "triage": ["1024"],
    }


def test_repository_is_written_anew(layout: ModelServerLayout) -> None:
    first = write_repository(layout)
    (first / "tier_x").mkdir()
    assert not (write_repository(layout) / "tier_x").exists()


def test_real_engine_needs_a_base(layout: ModelServerLayout, tmp_path: Path) -> None:
    with pytest.raises(PreparationRefused, match="prepared base"):
        write_repository(ModelServerLayout(home=tmp_path, adapters=tmp_path, engine="openvino"))


def test_any_engine_setting_changes_the_engine_digest() -> None:
    plain = engine_digest(EngineSettings(), {"openvino": "1"})
    assert plain == engine_digest(EngineSettings(), {"openvino": "1"})
    assert plain != engine_digest(EngineSettings(precision="bf16"), {"openvino": "1"})
    assert plain != engine_digest(EngineSettings(), {"openvino": "2"})


def test_command_leaves_misleading_variables_behind(layout: ModelServerLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    command = server_command(layout, ServerSettings(http_port=1, grpc_port=2, metrics_port=3, shm_prefix="mine"))
    assert not {"PYTHONPATH", "PYTHONHOME", "SOME_TOKEN"} & set(command.env)
    assert "--grpc-port=2" in command.argv
    assert "--backend-config=python,shm-region-prefix-name=mine" in command.argv
    assert (layout.home / "backends" / "python" / "triton_python_backend_stub").exists()


def test_only_regions_of_the_own_prefix_are_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tierproof_model_server.launch.SHARED_MEMORY", tmp_path)
    for name in ("mine-1", "mine-2", "yours-1"):
        (tmp_path / name).touch()
    assert clean_shared_memory("mine-") == ["mine-1", "mine-2"]
    assert [path.name for path in tmp_path.iterdir()] == ["yours-1"]


def gguf(path: Path, *, version: int = 3) -> Path:
    """Write a file with one fact and one Q4_1 matrix of 64 inputs and 1 output: d 2 and 0, m -3 and 5."""
    key, name = b"llama.block_count", b"w"
    header = b"GGUF" + struct.pack("<IQQ", version, 1, 1)
    header += struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, 30)
    header += struct.pack("<Q", len(name)) + name + struct.pack("<IQQIQ", 2, 64, 1, 3, 0)
    header += b"\0" * (-len(header) % 32)
    blocks = [np.array(pair, dtype="<f2").tobytes() + bytes(16) for pair in ((2, -3), (0, 5))]
    path.write_bytes(header + b"".join(blocks))
    return path


def test_exact_zero_points_are_read(tmp_path: Path) -> None:
    header = read_header(gguf(tmp_path / "small.gguf"))
    assert header.facts == {"llama.block_count": 30}
    assert header.zero_points("w").tolist() == [[1.5, 0.0]]


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparationRefused, match="version 2"):
        read_header(gguf(tmp_path / "old.gguf", version=2))


def test_rows_of_q_and_k_come_back_into_order() -> None:
    rows = np.array([[0], [4], [1], [5], [2], [6], [3], [7]], dtype=np.float32)  # one head of 8: halves interleaved
    assert in_hugging_face_order(rows, 1).ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
