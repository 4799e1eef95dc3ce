"""Why a task went the way it went: from its story and the policy that it lived under to sentences."""

import base64
from typing import Any

from pydantic import ValidationError
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import read_event
from tierproof_contracts.documents import ClassRule, PolicyPublishedV1, RoutingPolicy
from tierproof_contracts.ids import UNDECLARED
from tierproof_contracts.questions import Story

from tierproof.connection import Connection
from tierproof.errors import ClientError

WHY = {
    "first": "the smallest capable tier answers first",
    "repair": "the checks refused the answer, and their findings went into a new prompt",
    "resample": "the checks refused the answer, and the same tier was asked again with another seed",
    "escalation": "the tier below could not, and the next one was asked",
    "retry": "the model server gave no answer, and the same tier was asked again",
}


async def policy_of(story: Story, connection: Connection) -> RoutingPolicy | None:
    """Return the routing policy that a task was accepted under, read back by digest; None before its acceptance."""
    digest = next((str(event.data["policy"]) for event in story.events if event.type == "task.accepted.v1"), None)
    stored = await connection.last(subjects.policy_published("routing-policy", digest)) if digest else None
    published = read_event(stored).data if stored else None
    if not isinstance(published, PolicyPublishedV1):
        return None
    try:
        policy = RoutingPolicy.model_validate_json(base64.b64decode(published.envelope.payload, validate=True))
    except (ValueError, ValidationError):
        raise ClientError(f"the stored routing policy {digest} cannot be read") from None
    if policy.digest() != digest:
        raise ClientError(f"what is stored as routing policy {digest} is another document")
    return policy


def explanation(story: Story, policy: RoutingPolicy | None) -> list[str]:
    """Return one sentence per decision: each tier and its rule, the outcome, what would change it, and the documents."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for event in story.events:
        by_type.setdefault(event.type or event.kind, []).append(event.data)
    accepted, decided = by_type.get("task.accepted.v1", [])[:1], by_type.get("task.decided.v1", [])[:1]
    known = next((data for data in decided if data.get("kind") != UNDECLARED), None)
    rules = [_rule(data if data["kind"] != UNDECLARED or known is None else known, policy) for data in accepted]
    lines = [_attempt(data) for data in by_type.get("inference.requested.v1", [])]
    for data in decided:
        lines.append(f"outcome {data['outcome']['status']}: {data['because']}")
        lines.append(f"what would change it: {_change(data, rules[0] if rules else None)}")
    if not decided:
        lines.append(
            "waits for a person" if story.state == "waiting" else f"{story.state}: the router has not decided it"
        )
    for data, rule in zip(accepted, rules, strict=True):
        if rule is not None:
            kind = known["kind"] if known and data["kind"] == UNDECLARED else data["kind"]
            lines.append(f"the rule kinds.{kind}.classes.{data['safety_class']}: {_said(rule)}")
        lines.append(
            f"pinned at acceptance: policy {data['policy']}, fleet {data['fleet']}, deadline {data['deadline']}"
        )
    return lines


def _rule(accepted: dict[str, Any], policy: RoutingPolicy | None) -> ClassRule | None:
    kind = policy.kinds.get(accepted["kind"]) if policy else None
    return kind.classes.get(accepted["safety_class"]) if kind else None


def _said(rule: ClassRule) -> str:
    person = "a person confirms" if rule.needs_person else "no person needed"
    return (
        f"ladder {' > '.join(rule.ladder)}, repairs {rule.repairs} ({rule.repairs_per_tier} per tier, {rule.repair_style}), "
        f"escalations {rule.escalations}, tokens {rule.tokens}, {person}, time {rule.time_allowed_ms} ms"
    )


def _attempt(data: dict[str, Any]) -> str:
    if data["purpose"] == "triage":
        return f"triage {data['slip']['triaged']}: the task names no kind, so {data['model']['name']} reads one"
    attempt = data["slip"]["attempts"][-1]
    return f"attempt {attempt['number']}, tier {attempt['tier']}: {WHY[attempt['why']]} ({attempt['rule']})"


def _change(data: dict[str, Any], rule: ClassRule | None) -> str:
    outcome, slip = data["outcome"], data.get("slip") or {}
    where = f"kinds.{data.get('kind')}.classes.{data.get('safety_class')}"
    code = outcome.get("code")
    if outcome["status"] == "accepted":
        if data.get("safety_class") == "C":
            return "another word of the reviewer, or a stricter check; class C is always confirmed by a person"
        return f"a stricter check, or {where}.needs_person: true"
    hints = {
        "exhausted": f"a model that passes the checks, or more {where}.repairs or .escalations "
        f"(used: {slip.get('repairs')} and {slip.get('escalations')}{_of(rule)})",
        "over-budget": f"a larger {where}.tokens (spent: {slip.get('tokens_spent')}{f' of {rule.tokens}' if rule else ''})",
        "out-of-domain": "the task's kind, named (--kind), or other bounds under triage in the routing policy",
        "unknown-kind": "a rule for this kind and class in the routing policy",
        "deadline": "more time (--deadline), or more workers",
        "too-large": f"a shorter prompt, or a larger kinds.{data.get('kind')}.prompt_bytes",
        "review-rejected": "an answer that the reviewer confirms",
        "review-deadline": f"a reviewer who decides in time, or a longer {where}.review_time_ms",
    }
    return hints.get(str(code), f"the cause named above ({code})")


def _of(rule: ClassRule | None) -> str:
    return f" of {rule.repairs} and {rule.escalations}" if rule else ""
