"""A task's life without a bus: the news it hears, the steps that are decided, and the requests that carry them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof_contracts.documents import FleetManifest, RoutingPolicy
from tierproof_contracts.inference import InferenceRequestedV1, NotCompleted
from tierproof_contracts.slip import SafetyClass, Slip
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_contracts.verification import CheckReport, Finding, NotPassed, Passed, Unverifiable
from tierproof_router import events
from tierproof_router.choices import Ask, Step
from tierproof_router.decide import admit, after_failure, after_verdict

FLEET_FOLDER = Path(__file__).resolve().parents[3] / "infra" / "fleet"
POLICY = RoutingPolicy.model_validate_json((FLEET_FOLDER / "routing-policy.json").read_bytes())
FLEET = FleetManifest.model_validate_json((FLEET_FOLDER / "fleet-manifest.json").read_bytes())
KINDS = tuple(POLICY.kinds)
CLASSES: tuple[SafetyClass, ...] = ("A", "B", "C")
INSTANT = "2026-11-01T12:00:00Z"
SALT = "ab" * 16
TASK = "demo_" + "0" * 32
FINDINGS = tuple(Finding(code="rule", where=f"/{number}", note=f"finding {number}") for number in range(20))
PASSED = Passed(answer_index=0, checks=(CheckReport(check="schema", passed=True),))
FAILED = NotPassed(findings=(FINDINGS,), nearest=0)
UNVERIFIABLE = Unverifiable(reason="no sandbox")
CRASHED = NotCompleted(code="crashed", detail="gone", another_try=True)
HOPELESS = NotCompleted(code="unknown-adapter", detail="no such adapter", another_try=False)
LATE = NotCompleted(code="deadline", detail="too late", another_try=False)
BAD_SCHEMA = NotCompleted(code="bad-schema", detail="no such schema", another_try=True)
News = Passed | NotPassed | Unverifiable | NotCompleted
ALL_NEWS: tuple[News, ...] = (PASSED, FAILED, UNVERIFIABLE, CRASHED, HOPELESS, LATE, BAD_SCHEMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What was decided, one step per news and the first; what was asked; and the slip in the end."""

    steps: tuple[Step, ...]
    requests: tuple[InferenceRequestedV1, ...]
    slip: Slip

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def asked(self) -> list[Ask]:
        return [step for step in self.steps if isinstance(step, Ask)]


def submission(kind: str = "reg-doc-drafting", safety_class: SafetyClass = "B", **changes: Any) -> TaskSubmittedV1:
    """Return a task with every input that the delivered policy asks for."""
    required = POLICY.kinds[kind].required_inputs if kind in POLICY.kinds else ()
    fields: dict[str, Any] = {
        "tenant": "demo",
        "task_id": TASK,
        "kind": kind,
        "safety_class": safety_class,
        "prompt": Text(text="Write REQ-1.", salt=SALT),
        "inputs": {name: Text(text="{}", salt=SALT) for name in required},
        "actor": "tests",
    }
    return TaskSubmittedV1(**(fields | changes))


def beginning(task: TaskSubmittedV1, policy: RoutingPolicy, fleet: FleetManifest) -> Slip:
    """Return the slip of a task that has just been accepted."""
    about = {name: getattr(task, name) for name in ("task_id", "tenant", "kind", "safety_class")}
    pins = {"policy": policy.digest(), "fleet": fleet.digest(), "reviewers": policy.digest()}
    return Slip(**about, **pins, accepted_at=INSTANT, deadline=INSTANT)


def admitted(task: TaskSubmittedV1, policy: RoutingPolicy = POLICY, fleet: FleetManifest = FLEET) -> Step:
    """Return the first step of a task."""
    sizes = {name: text.size for name, text in task.inputs.items()}
    return admit(beginning(task, policy, fleet), policy, fleet, sizes, task.prompt.size)


def lived(
    task: TaskSubmittedV1, news: Iterable[News], policy: RoutingPolicy = POLICY, fleet: FleetManifest = FLEET
) -> Life:
    """Return the life of a task that hears this news, until it ends or the news does."""
    slip = beginning(task, policy, fleet)
    documents = events.Documents(policy=policy, fleet=fleet)
    steps: list[Step] = [admitted(task, policy, fleet)]
    requests: list[InferenceRequestedV1] = []
    findings: Sequence[Finding] = ()
    coming = iter(news)
    while isinstance(step := steps[-1], Ask):
        before = requests[-1] if requests else None
        requests.append(events.inference(step, slip, task, documents, findings, before))
        slip = requests[-1].slip
        heard = next(coming, None)
        if heard is None:
            break
        findings = heard.findings[heard.nearest] if isinstance(heard, NotPassed) else ()
        steps.append(_after(heard, slip, policy, fleet))
    return Life(steps=tuple(steps), requests=tuple(requests), slip=slip)


def _after(heard: News, slip: Slip, policy: RoutingPolicy, fleet: FleetManifest) -> Step:
    if isinstance(heard, NotCompleted):
        return after_failure(slip, policy, fleet, heard)
    return after_verdict(slip, policy, fleet, heard)
