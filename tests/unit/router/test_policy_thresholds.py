"""What each threshold of the delivered policy means. Changing one makes exactly the test fail that bears its name."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("TIERPROOF_POLICY_UNDER_TEST", Path(__file__).resolve().parents[3] / "infra" / "fleet"))
POLICY = json.loads((FOLDER / "routing-policy.json").read_text())
WEEK = 7 * 24 * 3600 * 1000
_FREE = {
    "ladder": ["s", "m", "l"],
    "repairs": 2,
    "repairs_per_tier": 1,
    "escalations": 2,
    "tokens": 1600,
    "needs_person": False,
    "time_allowed_ms": 60_000,
    "longest_time_allowed_ms": 600_000,
    "review_time_ms": WEEK,
}
_CAREFUL = _FREE | {"repairs": 1, "tokens": 1200, "needs_person": True, "time_allowed_ms": 120_000}
_STYLE = {"reg-doc-drafting": "findings", "embedded-fw-c": "findings", "dicom-adjacent": "resample"}
_PROMPT_BYTES = {"reg-doc-drafting": 16_000, "embedded-fw-c": 16_000, "dicom-adjacent": 8_000}
_FINDINGS = {"reg-doc-drafting": 3, "embedded-fw-c": 2, "dicom-adjacent": 1}

# Reviewed with the policy: a number that changes there is changed here, knowingly, by a second person.
EXPECTED: dict[str, Any] = {
    "failed_inference_retries": 1,
    "grace_ms": 30_000,
    **{f"{kind}.prompt_bytes": size for kind, size in _PROMPT_BYTES.items()},
    **{f"{kind}.findings_shown": count for kind, count in _FINDINGS.items()},
    **{
        f"{kind}.{safety_class}.{name}": value
        for kind, style in _STYLE.items()
        for safety_class, rule in (("A", _FREE), ("B", _FREE), ("C", _CAREFUL))
        for name, value in (rule | {"repair_style": style}).items()
    },
}


def found(name: str) -> Any:
    """Return a threshold of the policy by its dotted name."""
    match name.split("."):
        case [top]:
            return POLICY[top]
        case [kind, own]:
            return POLICY["kinds"][kind][own]
        case [kind, safety_class, own]:
            return POLICY["kinds"][kind]["classes"][safety_class][own]
    raise AssertionError(name)


@pytest.mark.requirement("S2-policy")
@pytest.mark.parametrize("name", EXPECTED)
def test_threshold(name: str) -> None:
    assert found(name) == EXPECTED[name]


def test_every_threshold_of_the_policy_is_named_here() -> None:
    numbers = {
        f"{kind}.{safety_class}.{name}"
        for kind, policy in POLICY["kinds"].items()
        for safety_class, rule in policy["classes"].items()
        for name in rule
    }
    assert numbers <= set(EXPECTED)
