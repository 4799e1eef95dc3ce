"""`tierproof train reproduce` on the real base: elsewhere, as another user, within signed bounds; and trainings that learn nothing."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tierproof_proofs.keys import Ed25519Verifier, load_key
from tierproof_proofs.statements import verify_statement
from tierproof_trainer import lock_file, provenance, reproduce, training
from tierproof_trainer.errors import TrainingRefused

from tests.command_line import tierproof
from tests.train.conftest import ROOT, Bench, completions

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]


def said_by(*words: str) -> tuple[int, dict[str, Any]]:
    ran = tierproof("train", *words, "--json")
    return ran.code, ran.value


@pytest.fixture
def open_bench(bench: Bench) -> Iterator[Bench]:
    """Yield a bench in a folder that other users can read, as the settings of the command line name it."""
    with tempfile.TemporaryDirectory(prefix="tierproof-open-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(bench.settings.bases, folder / "bases", copy_function=_linked)
        moved = {
            "jobs": folder / "jobs",
            "bases": folder / "bases",
            "datasets": folder / "datasets",
            "key_file": folder / "trainer.pem",
        }
        yield replace(bench, settings=bench.settings.model_copy(update=moved))


def _linked(source: str, to: str) -> str:
    try:
        os.link(source, to)
    except OSError:  # another file system
        shutil.copyfile(source, to)
    return to


def at_the_command_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line find what the bench has."""
    policy = bench.folder / "policy.json"
    policy.write_text(bench.policy.model_dump_json(exclude_none=True))
    for name in ("python", "jobs", "bases", "datasets", "key_file"):
        monkeypatch.setenv(f"TIERPROOF_TRAINER_{name.upper()}", str(getattr(bench.settings, name)))
    monkeypatch.setenv("TIERPROOF_TRAINER_POLICY", str(policy))
    monkeypatch.setenv("TIERPROOF_TRAINER_DATASET_KEYS", json.dumps(list(bench.settings.dataset_keys)))


@pytest.mark.requirement("S7.3-bytes")
def test_the_command_reproduces_in_another_folder_time_zone_and_user(
    open_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_command_line(open_bench, monkeypatch)
    file = open_bench.folder / "train-lock.yaml"
    file.write_text(lock_file.written(open_bench.lock(open_bench.snapshot(completions()))))
    assert said_by("reproduce", str(file))[1]["code"] == "not-reproduced", "there is nothing to reproduce yet"
    code, done = said_by("run", str(file))
    assert (code, done["resumed"]) == (0, 0)
    code, again = said_by("reproduce", str(file))
    assert (code, again.get("ok"), again.get("differing")) == (0, True, 0), again
    key = {"trainer": Ed25519Verifier(load_key(open_bench.settings.key_file).public_key)}
    said = verify_statement(json.loads(Path(again["record"]).read_text()), key, reproduce.REPRODUCTION)
    assert said.subjects["first"] == said.subjects["second"] == done["artifact"]
    elsewhere = said.predicate["elsewhere"]
    assert (elsewhere["TZ"], elsewhere["other_folder"], said.predicate["reproduced"]) == (
        "Pacific/Chatham",
        True,
        True,
    )
    ready = training.admitted(
        lock_file.lock_from(file), open_bench.policy, open_bench.settings, training.signer_of(open_bench.settings)
    )
    assert elsewhere["other_user"] == (reproduce.other_user(ready.inputs) is not None)
    if not elsewhere["other_user"]:
        pytest.skip("reproduced, but as the same user: only root may choose one, who must be able to read all inputs")


@pytest.mark.requirement("S7.3-bytes")
def test_bounds_are_measured_and_signed_before_the_training(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_command_line(bench, monkeypatch)
    file = bench.folder / "train-lock.yaml"
    file.write_text(lock_file.written(bench.lock(bench.snapshot(completions()), hyperparameters__steps=2)))
    code, found = said_by("reproduce", str(file), "--calibrate", "2")
    lock = lock_file.lock_from(file)
    assert (code, lock.reproduction.kind, lock.reproduction.bounds) == (0, "bounded", found["bounds"])
    assert said_by("run", str(file))[0] == 0
    code, again = said_by("reproduce", str(file))
    assert (code, again.get("ok")) == (0, True), again
    path = Path(found["file"])
    path.write_text(path.read_text().replace('"payload": "ey', '"payload": "eX'))
    code, refused = said_by("reproduce", str(file))
    assert (code, refused["code"]) == (1, "not-reproduced"), "bounds that nobody has signed bound nothing"


def test_a_training_that_moves_nothing_is_refused_and_that_is_written_down(bench: Bench) -> None:
    lock = bench.lock(bench.snapshot(completions()), hyperparameters__learning_rate="0", hyperparameters__steps=2)
    for _ in range(2):  # asked again, nothing is trained again, and the answer is the same
        with pytest.raises(TrainingRefused, match="lora_B") as refused:
            bench.train(lock)
        assert (refused.value.code, refused.value.again) == ("stalled", False)
    (folder,) = [path for path in bench.settings.jobs.iterdir() if path.is_dir()]
    assert json.loads((folder / training.REFUSED).read_text())["code"] == "stalled"
    assert not (folder / provenance.SIGNED).exists()
    assert (
        sum(json.loads(line).get("began", False) for line in (folder / "progress.jsonl").read_text().splitlines()) == 1
    )


def test_without_a_gpu_a_base_in_4_bits_is_refused_and_the_interface_is_the_documented_one(bench: Bench) -> None:
    """The branch is not run on a GPU here: held are the refusal, and that the libraries take what it passes to them."""
    program = (
        "import inspect, pathlib, torch\n"
        "from peft import prepare_model_for_kbit_training as prepare\n"
        "from transformers import BitsAndBytesConfig\n"
        "from tierproof_trainer.stages import base, job\n"
        "wanted = {'load_in_4bit', 'bnb_4bit_quant_type', 'bnb_4bit_use_double_quant', 'bnb_4bit_compute_dtype'}\n"
        "assert wanted <= inspect.signature(BitsAndBytesConfig.__init__).parameters.keys()\n"
        "assert 'use_gradient_checkpointing' in inspect.signature(prepare).parameters\n"
        "try:\n    base.loaded_in_4_bits(pathlib.Path('base'))\n"
        "except job.StageFailed as refused:\n    print('GPU' if torch.cuda.is_available() else refused.code)\n"
    )
    told = subprocess.run(
        [str(bench.settings.python), "-c", program],
        env={"PYTHONPATH": str(ROOT / "services" / "trainer"), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout.split() in (["another-environment"], ["GPU"]), told.stderr
