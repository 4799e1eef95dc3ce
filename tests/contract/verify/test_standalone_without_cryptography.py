"""The whole campaign once more, where `cryptography` is not there; and the file alone, with nothing but Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.verify.loading import FILE
from tests.contract.verify.packs import log_of

pytestmark = [pytest.mark.requirement("LED-proof"), pytest.mark.part11("11.10(a)")]
HERE = Path(__file__).parent


@pytest.mark.parametrize("suite", ["tampering", "fuzz"])
@pytest.mark.skipif("TIERPROOF_VERIFY_ALONE" in os.environ, reason="this is the inner run")
def test_the_campaign_passes_with_the_signatures_checked_in_python(suite: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", str(HERE / f"test_standalone_{suite}.py")]
    environment = os.environ | {"TIERPROOF_VERIFY_ALONE": "1"}
    ran = subprocess.run(
        command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert ran.returncode == 0, ran.stdout[-3000:]


@pytest.mark.parametrize("touched", [False, True])
def test_the_file_runs_without_any_package(tmp_path: Path, *, touched: bool) -> None:
    log = log_of()
    (tmp_path / "pack").mkdir()
    log.write(tmp_path / "pack")
    if touched:
        path = tmp_path / "pack/checkpoint"
        path.write_text(path.read_text().replace(" w.example ", " x.example "))
    (tmp_path / "trust.json").write_bytes(log.trust())
    program = tmp_path / "tierproof_verify.py"
    program.write_bytes(FILE.read_bytes())
    arguments = [str(tmp_path / "pack"), "--trust", str(tmp_path / "trust.json"), "--json"]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(program), *arguments], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (int(touched), "")
    assert json.loads(ran.stdout)["verified"] is not touched
