"""One small task through the real language model: whatever it says, the outcome is released with its proof."""

import json
import shutil
from pathlib import Path

import pytest
import tierproof as sdk
from tierproof_contracts.result import Answered
from tierproof_contracts.task import Abstained
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import running_stack

PREPARED = Path(__file__).resolve().parents[2] / ".tierproof" / "models" / "base"
SCHEMA = {
    "type": "object",
    "properties": {"vr": {"enum": ["PN", "DS"]}},
    "required": ["vr"],
    "additionalProperties": False,
}


@pytest.mark.model
@pytest.mark.requirement("P1", "P2", "S1.2-sovereign", "LED-proof")
async def test_a_question_to_the_real_model_ends_with_a_proof(tmp_path: Path) -> None:
    settings = EmbeddedSettings(home=tmp_path / "home", model_engine="openvino", tiers=("s", "m", "l"))
    if PREPARED.is_dir():  # else it is prepared here, which takes some seconds more
        shutil.copytree(PREPARED, settings.layout.models / "base")
    async with (
        running_stack(settings) as stack,
        sdk.connect(stack.nats_url, credentials=stack.seed_file("app-demo")) as fleet,
    ):
        task = await fleet.submit(
            kind="dicom-adjacent",
            safety_class="A",
            prompt="DICOM: what is the value representation (VR) of PatientName? Answer as JSON with the field vr.",
            inputs={
                "question": json.dumps({"attribute": "PatientName", "fields": ["vr"]}),
                "schema": json.dumps(SCHEMA),
            },
            time_allowed=60,
        )
        result = await fleet.prove(await task.released(timeout=80))
    assert isinstance(result.outcome, Answered | Abstained), result.outcome
    if result.answer is not None:
        assert json.loads(result.answer) == {"vr": "PN"}, "what is released has passed the checks"
    assert result.verify(trust=stack.trust).task_id == task.task_id
