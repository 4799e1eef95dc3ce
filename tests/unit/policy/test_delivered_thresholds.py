"""The delivered routing policy, threshold by threshold.

One test per kind, class and threshold, named `kind/class/threshold`: who changes a number in infra/fleet/routing-policy.json sees
exactly its tests fail, and changes the expectation here in the same commit. TIERPROOF_FLEET names another folder of documents.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts.documents import RoutingPolicy

FLEET = Path(os.environ.get("TIERPROOF_FLEET") or Path(__file__).resolve().parents[3] / "infra/fleet")
POLICY = RoutingPolicy.model_validate_json((FLEET / "routing-policy.json").read_bytes())

BELOW_C: dict[str, Any] = {
    "ladder": ("s", "m", "l"),
    "repairs": 2,
    "repairs_per_tier": 1,
    "escalations": 2,
    "tokens": 1600,
    "needs_person": False,
    "time_allowed_ms": 60_000,
    "longest_time_allowed_ms": 600_000,
    "review_time_ms": 604_800_000,
}
# Class C: fewer tries, more time, and always a person.
CLASS_C = BELOW_C | {"repairs": 1, "tokens": 1200, "needs_person": True, "time_allowed_ms": 120_000}
EXPECTED = {
    f"{kind}/{safety_class}/{name}": value
    for kind in ("reg-doc-drafting", "embedded-fw-c", "dicom-adjacent")
    for safety_class, rule in (("A", BELOW_C), ("B", BELOW_C), ("C", CLASS_C))
    for name, value in rule.items()
}


@pytest.mark.requirement("S2-policy")
@pytest.mark.parametrize("where", EXPECTED)
def test_threshold(where: str) -> None:
    kind, safety_class, name = where.split("/")
    rule = POLICY.kinds[kind].classes[safety_class]  # type: ignore[index]  # a class by its letter
    assert getattr(rule, name) == EXPECTED[where]


def test_every_rule_is_expected() -> None:
    rules = {f"{kind}/{letter}" for kind, policy in POLICY.kinds.items() for letter in policy.classes}
    assert rules == {where.rsplit("/", 1)[0] for where in EXPECTED}
