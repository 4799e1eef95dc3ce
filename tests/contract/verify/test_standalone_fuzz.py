"""Whatever a stranger hands over, the verifier answers: verified, not verified, or unusable; never with a traceback."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.contract.verify import packs
from tests.contract.verify.loading import load
from tests.contract.verify.packs import Log, log_of, seal

verifier = load()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | st.just(1 << 70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
EXAMPLES = (
    30 if "TIERPROOF_VERIFY_ALONE" in os.environ else 120
)  # signatures checked in Python take a hundred times as long
often = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = [pytest.mark.requirement("LED-proof"), pytest.mark.part11("11.10(a)")]


@pytest.fixture(scope="module")
def log() -> Log:
    made = log_of(300)
    made.selected = (3, 49, 77, 256)
    return made


@pytest.fixture(scope="module")
def sound(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log.write(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.rmtree(tmp_path / "pack", ignore_errors=True)
    shutil.copytree(sound, tmp_path / "pack")
    return tmp_path / "pack"


def answered(path: Path, trust: bytes) -> bool:
    """Return whether a pack verifies; whatever it raises but `Unusable` is a defect."""
    try:
        report = verifier.verify(str(path), trust)
    except verifier.Unusable:
        return False
    json.dumps(report)
    verifier.shown(report)
    return bool(report["verified"])


@often
@given(member=st.sampled_from(["pack", "log", "size", "root", "selection", "entries", "files", "proofs"]), value=VALUES)
@example(member="proofs", value="many")
@example(member="proofs", value=1.5)
@example(member="files", value={"checkpoint": {}})
@example(member="files", value={"../" * 9 + "etc/passwd": "sha256:"})
@example(member="files", value=[[None, "sha256:"]])
@example(member="size", value=10**300)
def test_any_manifest(folder: Path, log: Log, member: str, value: Any) -> None:
    said = json.loads((folder / "manifest.json").read_text())
    changed = json.dumps(said | {member: value}).encode("utf-8", "surrogatepass")
    (folder / "manifest.json").write_bytes(changed)
    refused = not answered(folder, log.trust())
    (folder / "manifest.json").write_text(json.dumps(said))
    harmless = (member == "selection" and isinstance(value, dict)) or member == "proofs" or said.get(member) == value
    assert refused or harmless


TRUSTED = ["log_keys", "witnesses", "quorum", "reviewers", "documents", "time_stamping", "another"]


@often
@given(member=st.sampled_from(TRUSTED), value=VALUES)
@example(member="reviewers", value={"jo.weber": b"short".hex()})
@example(member="log_keys", value=[{"key": "a+b+c", "from": 0, "until": None}])
@example(member="log_keys", value=[{}])
@example(member="witnesses", value=["a b+00000000+BA=="])
@example(member="quorum", value=True)
def test_any_trust_file(sound: Path, log: Log, member: str, value: Any) -> None:
    said = json.loads(log.trust()) | {member: value}
    answered(sound, json.dumps(said).encode("utf-8", "surrogatepass"))


@often
@given(content=st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
@example(content=b"[" * 100_000)
@example(content=b'{"a":1,"a":1}')
@example(content=b'{"quorum":' + b"9" * 5000 + b"}")
def test_any_bytes_as_trust_and_manifest(folder: Path, log: Log, content: bytes) -> None:
    assert not answered(folder, content)
    kept = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(content)
    assert not answered(folder, log.trust())
    (folder / "manifest.json").write_bytes(kept)


FILES = ["entries.jsonl", "entries.csv", "checkpoint", "checkpoints.jsonl", "proofs/77.tlog-proof", "tile/0/000"]
FILES += ["tile/1/000.p/1", "timestamps/300.tsr", "timestamps/x.tsr", "timestamps/300"]


@often
@given(name=st.sampled_from(FILES), data=st.data())
def test_any_bytes_anywhere(folder: Path, log: Log, name: str, data: st.DataObject) -> None:
    """A part of a file is replaced and the manifest made to fit: refused, and told without a traceback."""
    path = folder / name
    kept = path.read_bytes() if path.exists() else b""
    start = data.draw(st.integers(0, len(kept)))
    end = data.draw(st.integers(start, len(kept)))
    put = data.draw(st.binary(max_size=20) | st.sampled_from([b"[" * 9999, b"\xff", b"\n", b"\0", b'"', b"9" * 5000]))
    changed = kept[:start] + put + kept[end:]
    packs.put(path, changed)
    seal(folder, log)
    verified = answered(folder, log.trust())
    path.write_bytes(kept) if kept else path.unlink()
    seal(folder, log)
    assert not verified or changed == kept


@often
@given(index=st.sampled_from([3, 49]), where=st.sampled_from(["", "event", "data"]), data=st.data())
def test_any_value_in_an_entry(tmp_path: Path, index: int, where: str, data: st.DataObject) -> None:
    """The log itself holds it, every hash is right: an answer without a traceback."""
    log = log_of(60)
    said = json.loads(log.entries[index])
    inside = {"": said, "event": said["event"], "data": said["event"]["data"]}[where]
    inside[data.draw(st.sampled_from(sorted(inside)))] = data.draw(VALUES)
    log.entries[index] = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    log.sizes = (60,)
    answered(log.write(tmp_path), log.trust())


def zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return packed.getvalue()


@settings(often, max_examples=300)
@given(data=st.data())
def test_any_damage_to_an_archive(sound: Path, log: Log, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(zipped(sound))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(content), len(content) - 1, len(content) // 2, 0]))
    path = tmp_path / "pack.zip"
    path.write_bytes(content[:cut])
    answered(path, log.trust())


def test_an_archive_verifies_as_its_folder_does(sound: Path, log: Log, tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(zipped(sound))
    assert answered(path, log.trust())


@pytest.mark.parametrize("name", ["../manifest.json", "/manifest.json", "a\\b", "a/../b", "manifest.json"])
def test_an_archive_with_a_name_that_leads_outside_is_unusable(
    sound: Path, log: Log, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(zipped(sound))
    with zipfile.ZipFile(path, "a") as archive:
        if name == "manifest.json":
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(name, "{}")
        else:
            archive.writestr(name, "{}")
    with pytest.raises(verifier.Unusable):
        verifier.verify(str(path), log.trust())


def test_a_folder_with_a_link_is_unusable(folder: Path, log: Log) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(verifier.Unusable, match="link"):
        verifier.verify(str(folder), log.trust())
