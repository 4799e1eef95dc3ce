"""How long does the router's decision take? Target: p99 below 1 ms, for a first step, a verdict and a failure.

Lives of tasks are drawn from a seeded generator under the delivered policy: every call decides for another slip, up to the longest.
`python loadtests/decide_latency.py [--decisions 20000]`
"""

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import machine
from tierproof_contracts.documents import FleetManifest, RoutingPolicy
from tierproof_contracts.inference import FailureCode, NotCompleted
from tierproof_contracts.slip import Attempt, Slip
from tierproof_contracts.verification import CheckReport, Finding, NotPassed, Passed
from tierproof_router.choices import Ask, Step
from tierproof_router.decide import admit, after_failure, after_verdict

TARGET_P99_MS = 1.0
SEED = 20
FLEET_FOLDER = Path(__file__).resolve().parents[1] / "infra" / "fleet"
POLICY = RoutingPolicy.model_validate_json((FLEET_FOLDER / "routing-policy.json").read_bytes())
FLEET = FleetManifest.model_validate_json((FLEET_FOLDER / "fleet-manifest.json").read_bytes())
FINDINGS = tuple(Finding(code="rule", where=f"/text/{number}", note="must contain shall") for number in range(20))
VERDICTS = (Passed(answer_index=0, checks=(CheckReport(check="rule", passed=True),)),) + 3 * (
    NotPassed(findings=4 * (FINDINGS,), nearest=0),
)
FAILURES = tuple(NotCompleted(code=code, detail="gone", another_try=True) for code in get_args(FailureCode))


def first_slip(chance: random.Random) -> Slip:
    """Return the slip of a task that was just accepted."""
    kind = chance.choice(sorted(POLICY.kinds))
    safety_class: Any = chance.choice("ABC")
    return Slip(
        task_id=f"acme_{chance.getrandbits(128):032x}",
        tenant="acme",
        kind=kind,
        safety_class=safety_class,
        policy=POLICY.digest(),
        fleet=FLEET.digest(),
        reviewers=FLEET.digest(),
        accepted_at="2026-01-01T00:00:00Z",
        deadline="2026-01-01T00:01:00Z",
    )


def asked(slip: Slip, step: Ask) -> Slip:
    """Return the slip after a request."""
    decode = FLEET.tiers[step.tier].decode
    attempt = Attempt(
        number=len(slip.attempts) + 1,
        tier=step.tier,
        why=step.why,
        rule=step.rule[:200],
        request_id="00000000-0000-4000-8000-000000000000",
        max_tokens=decode.max_tokens,
        samples=decode.samples,
    )
    return slip.model_copy(
        update={
            "attempts": (*slip.attempts, attempt),
            "repairs": slip.repairs + (step.why in {"repair", "resample"}),
            "escalations": slip.escalations + (step.why == "escalation"),
            "tokens_spent": slip.tokens_spent + decode.max_tokens * decode.samples,
        }
    )


def decided(seen: list[float], decision: Callable[..., Step], *about: Any) -> Step:  # noqa: ANN401 - any decision's arguments
    """Decide, and note the seconds that it took."""
    began = time.perf_counter()
    step = decision(*about)
    seen.append(time.perf_counter() - began)
    return step


def measure(decisions: int) -> dict[str, list[float]]:
    """Return seconds per decision, for at least so many decisions in all."""
    chance = random.Random(SEED)
    seen: dict[str, list[float]] = {"admit": [], "after_verdict": [], "after_failure": []}
    while sum(map(len, seen.values())) < decisions:
        slip = first_slip(chance)
        inputs = dict.fromkeys(POLICY.kinds[slip.kind].required_inputs, 1000)
        step = decided(seen["admit"], admit, slip, POLICY, FLEET, inputs, 1000)
        while isinstance(step, Ask):
            slip = asked(slip, step)
            verdict, failure = chance.choice(VERDICTS), chance.choice(FAILURES)
            if chance.random() < 1 / 4:
                step = decided(seen["after_failure"], after_failure, slip, POLICY, FLEET, failure)
            else:
                step = decided(seen["after_verdict"], after_verdict, slip, POLICY, FLEET, verdict)
    return seen


def summary(seconds: list[float]) -> dict[str, float]:
    """Return count, median, 99th percentile and maximum, in microseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    figures = {"p50_us": statistics.median(seconds), "p99_us": cuts[98], "max_us": max(seconds)}
    return {"decisions": len(seconds), **{name: round(1e6 * value, 2) for name, value in figures.items()}}


def main() -> None:
    """Measure, write the result, print it; exits 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=20_000)
    decisions = parser.parse_args().decisions
    described = machine.describe()
    measure(decisions // 10)
    gc.collect()
    seen = measure(decisions)
    every = summary([second for seconds in seen.values() for second in seconds])
    met = every["p99_us"] < 1000 * TARGET_P99_MS
    result = {
        "what": f"one decision of the router, delivered policy, lives of tasks from seed {SEED}; in-process, garbage collection on",
        "machine": described,
        "target_p99_ms": TARGET_P99_MS,
        "met": met,
        "all": every,
        **{name: summary(seconds) for name, seconds in seen.items()},
    }
    machine.write("decide_latency", result)
    print(every)
    if not met:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
