"""A program of the Go checksum database's libraries, which share no code with ours, verifies a proof; it reads the hash tiles."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.verify import packs

GOPATH = Path("/usr/share/gocode")
pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed"),
    pytest.mark.skipif(
        not (GOPATH / "src/golang.org/x/mod/sumdb").is_dir(), reason="golang.org/x/mod is not installed"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    environment = {"PATH": os.environ["PATH"], "GOPATH": str(GOPATH), "GO111MODULE": "off"}
    environment |= {"GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0"}
    source = Path(__file__).with_name("verify.go")
    subprocess.run(["go", "build", "-o", str(folder / "verify"), str(source)], env=environment, check=True)
    return folder / "verify"


def verdict(program: Path, folder: Path) -> str:
    key = packs.vkey(packs.ORIGIN, 1, packs.private("log"))
    done = subprocess.run([program, folder, key, "77"], capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(b)")
def test_go_verifies_a_proof_and_its_entry(program: Path, tmp_path: Path) -> None:
    log = packs.log_of()
    log.selected = (3, 77)
    folder = log.write(tmp_path)
    assert verdict(program, folder) == "VERIFIED 600\n"
    places = {
        "proofs/77.tlog-proof": 35,
        "entries.jsonl": -1,
        "tile/0/000": 9,
        "tile/0/001": 4000,
        "tile/0/002.p/88": 0,
    }
    for name, place in (places | {"tile/1/000.p/2": 40}).items():
        content = (folder / name).read_bytes()
        at = content.rindex(b"acme") if place < 0 else place
        changed = bytes([content[at] ^ 1])
        (folder / name).write_bytes(content[:at] + changed + content[at + 1 :])
        assert "VERIFIED" not in verdict(program, folder), name
        (folder / name).write_bytes(content)
