"""The run from records to an answer: what it prints follows from what happened, and it fails whenever something is missing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts.documents import FleetManifest, RoutingPolicy, TrainingPolicy
from tierproof_contracts.inference import AdapterPin
from tierproof_contracts.questions import Problem, VerifyReport
from tierproof_domains import reg_doc_drafting
from tierproof_embedded import demo_train_command, demo_train_fleet, demo_train_steps
from tierproof_embedded.demo_report import Line
from tierproof_embedded.demo_train_ask import Answered, Examined, task_of
from tierproof_embedded.demo_train_report import Done, as_json, curve, failures, told
from tierproof_embedded.demo_train_steps import Learned, Workshop
from tierproof_embedded.demo_without import Bare
from tierproof_embedded.documents import fleet_folder, read_document
from tierproof_embedded.errors import EmbeddedError, StepFailed
from tierproof_proofs.checkpoint import Checkpoint
from tierproof_proofs.keys import load_or_create_key
from tierproof_proofs.release import Verified
from tierproof_proofs.tlog_proof import ProvenEntry

ITEMS = list(reg_doc_drafting.items("sealed", most=4))
DIGEST = "sha256:" + "a" * 64
LOCK = {
    "seeds": {"torch": 13},
    "parent": {"base": "small", "weights": DIGEST},
    "environment": {"packages": {"torch": "2"}, "instruction_set": "AVX2", "threads": 1},
    "evaluation": {"suite": "traces-1", "sealed": DIGEST},
    "reproduction": {"kind": "bitwise"},
}
TRAINED = {"artifact": DIGEST, "folder": "there", "steps": 2, "tokens": 9, "cpu_seconds": 3.0, "curve": "loss.svg"}


def answered(at: int, **changed: Any) -> Answered:
    item = ITEMS[at]
    line = Line(
        title=item.family, kind=item.kind, safety_class="A", path=("s",), whys=("first",), adapters=("traces",), passed=(True,),
        verdict="passed", outcome="answered", index=7, reviewed=False, task_id=f"demo_{at}",
    )  # fmt: skip
    return replace(Answered(item=item, line=line, answer=item.answer, wrong=()), **changed)


def done(*answers: Answered, bare: int = 0, problems: tuple[Problem, ...] = ()) -> Done:
    proven = ProvenEntry(index=13, checkpoint=Checkpoint(origin="log", size=14, root=bytes(32)), witnessed={})
    report = VerifyReport(entries=14, root=DIGEST, checkpoints=1, seconds_milli=5, problems=problems)
    learned = Learned(
        items=(), examination={"items": 4}, snapshot={"records": 320, "uid": DIGEST}, lock={"digest": DIGEST, "lock": LOCK},
        trained=TRAINED, verified={"files": {"a": DIGEST}}, progress=({"loss": 2.0}, {"loss": 0.5}), seconds={},
    )  # fmt: skip
    verified = Verified(task_id="demo_0", status="answered", proven=proven, confirmed_by=None)
    seen = Examined(answers=answers, verified=verified, bare=Bare(asked=len(answers), right=bare), report=report)
    return Done(adapter="traces", learned=learned, examined=seen, seconds={"train": 2.0}, total=3.0)


def test_a_good_run_says_what_was_locked_learned_signed_and_answered() -> None:
    run = done(answered(0), answered(1))
    text = "\n".join(told(run))
    assert failures(run) == []
    for word in (
        "LOCKED",
        "LEARNED",
        "SIGNED",
        "ANSWERED",
        ITEMS[0].prompt,
        ITEMS[0].answer,
        "0 of 2",
        "2.000",
        "0.500",
    ):
        assert word in text
    assert json.loads(json.dumps(as_json(run)))["ok"] is True


BAD: dict[str, Done] = {
    "not answered": done(answered(0, answer=None, wrong=("there is no answer",)), answered(1)),
    "its answer is wrong": done(answered(0, wrong=("/id: another",)), answered(1)),
    "not answered by traces": done(answered(0, line=replace(answered(0).line, adapters=(None,)))),
    "the domain's own check": done(answered(0), answered(1, wrong=("/id: another",))),
    "nothing was learned": done(answered(0), answered(1), bare=2),
    "1 problems": done(answered(0), answered(1), problems=(Problem(index=3, what="changed"),)),
}  # fmt: skip


@pytest.mark.parametrize("named", BAD)
def test_a_run_that_shows_less_fails_and_says_why(named: str) -> None:
    assert any(named in words for words in failures(BAD[named]))
    assert as_json(BAD[named])["ok"] is False


def test_a_curve_is_one_bar_for_each_step_or_for_some_together() -> None:
    assert curve([8.0, 4.0, 0.0]) == "█▅▁"
    assert len(curve([1.0] * 601)) == 55
    assert curve([0.0, 0.0]) == "▁▁"


def test_the_fleet_pins_the_new_adapter_too_and_asks_it_for_its_kind(tmp_path: Path) -> None:
    artifact, pin = tmp_path / "signed", AdapterPin(name="traces", digest=DIGEST)
    artifact.mkdir()
    (artifact / "adapter_model.safetensors").write_bytes(b"x")
    signer = load_or_create_key(tmp_path / "trainer.pem")
    demo_train_fleet.with_suite(
        fleet_folder() / "training-policy.json", tmp_path / "fleet/training-policy.json", "t-1", DIGEST
    )
    demo_train_fleet.with_adapter(tmp_path, artifact, pin, "reg-doc-drafting", tmp_path / "trainer.pem")
    manifest = read_document(tmp_path / "fleet/fleet-manifest.json")
    policy = read_document(tmp_path / "fleet/routing-policy.json")
    training = read_document(tmp_path / "fleet/training-policy.json")
    assert isinstance(manifest, FleetManifest)
    assert isinstance(policy, RoutingPolicy)
    assert isinstance(training, TrainingPolicy)
    delivered = read_document(fleet_folder() / "fleet-manifest.json")
    assert isinstance(delivered, FleetManifest)
    assert manifest.adapters == {**delivered.adapters, "traces": pin}
    asked = {kind: set(rules.adapters.values()) for kind, rules in policy.kinds.items()}
    assert asked["reg-doc-drafting"] == {"traces"}
    assert asked["embedded-fw-c"] == {"embedded-fw-c"}
    assert training.suites["t-1"] == DIGEST
    said = json.loads((tmp_path / "fleet/adapters/signers.json").read_text())
    known = json.loads((fleet_folder() / "adapters/signers.json").read_text())
    assert said == {**known, "demo-trainer": signer.public_base64}


def test_a_folder_of_somebody_else_is_left_alone_and_an_own_one_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StepFailed, match="--home"):
        demo_train_command._fresh(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
    folder = demo_train_command._fresh(tmp_path / "run")
    (folder / "datasets").mkdir()
    (folder / "datasets" / "x").touch()
    (folder / "datasets").chmod(0o500)
    assert [path.name for path in demo_train_command._fresh(folder).iterdir()] == [demo_train_command.MARK]


def test_a_command_that_refuses_ends_the_run_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    shop = Workshop(tmp_path, heard.append)
    refusal = json.dumps({"ok": False, "diagnosis": "the disk is full"})
    monkeypatch.setattr(Workshop, "_run", lambda *_, **__: f"{refusal}\n")
    with pytest.raises(EmbeddedError, match="tierproof data seal failed: the disk is full"):
        shop.tierproof("records", "data", "seal", "x")
    monkeypatch.setattr(Workshop, "_run", lambda *_, **__: "")
    with pytest.raises(EmbeddedError, match="did not say"):
        shop.tierproof("records", "data", "seal", "x")
    assert heard == ["  $ tierproof data seal x"] * 2


def test_commands_get_no_settings_of_the_caller_but_the_training_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIERPROOF_TRAINER_DATASETS", "elsewhere")
    monkeypatch.setenv("TIERPROOF_CURATOR_KEY_FILE", "elsewhere")
    monkeypatch.setenv(demo_train_steps.PYTHON, "env/bin/python")
    found = Workshop(tmp_path, lambda _: None)._environment()
    assert {"TIERPROOF_TRAINER_DATASETS", "TIERPROOF_CURATOR_KEY_FILE"} & found.keys() == set()
    assert found[demo_train_steps.PYTHON] == str(Path("env/bin/python").absolute())


def test_a_sealed_item_becomes_a_task_for_which_no_person_is_needed() -> None:
    task = task_of(ITEMS[0], 60.0)
    assert (task.safety_class, task.prompt, task.inputs) == ("A", ITEMS[0].prompt, dict(ITEMS[0].inputs))
