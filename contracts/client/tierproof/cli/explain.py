"""Why a task went the way it went. Pure: from its story to sentences."""

from typing import Any

from tierproof_contracts.questions import Story

WHY = {
    "first": "the smallest capable tier answers first",
    "repair": "the checks refused the answer, and their findings went into a new prompt",
    "resample": "the checks refused the answer, and the same tier was asked again with another seed",
    "escalation": "the tier below could not, and the next one was asked",
    "retry": "the model server gave no answer, and the same tier was asked again",
}


def explanation(story: Story) -> list[str]:
    """Return one sentence per decision: each tier and its rule, the outcome, the documents, and what would change it."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for event in story.events:
        by_type.setdefault(event.type or event.kind, []).append(event.data)
    lines = [_attempt(data) for data in by_type.get("inference.requested.v1", [])]
    decided = by_type.get("task.decided.v1", [])
    for data in decided[:1]:
        lines.append(f"outcome {data['outcome']['status']}: {data['because']}")
        lines.append(_change(data))
    if not decided:
        lines.append("waits for a person" if story.state == "waiting" else "not decided yet")
    lines += [
        f"pinned at acceptance: policy {data['policy']}, fleet {data['fleet']}, deadline {data['deadline']}"
        for data in by_type.get("task.accepted.v1", [])[:1]
    ]
    return lines


def _attempt(data: dict[str, Any]) -> str:
    attempt = data["slip"]["attempts"][-1]
    return f"attempt {attempt['number']}, tier {attempt['tier']}: {WHY[attempt['why']]} ({attempt['rule']})"


def _change(data: dict[str, Any]) -> str:
    outcome, slip = data["outcome"], data.get("slip") or {}
    where = f"kinds.{data.get('kind')}.classes.{data.get('safety_class')}"
    code = outcome.get("code")
    hints = {
        "exhausted": f"what would change it: a model that passes the checks, or more {where}.repairs or .escalations (used: "
        f"{slip.get('repairs')} and {slip.get('escalations')})",
        "over-budget": f"what would change it: a larger {where}.tokens (spent: {slip.get('tokens_spent')})",
        "unknown-kind": "what would change it: a rule for this kind and class in the routing policy",
        "deadline": "what would change it: more time (--deadline), or more workers",
        "too-large": f"what would change it: a shorter prompt, or a larger kinds.{data.get('kind')}.prompt_bytes",
    }
    if outcome["status"] == "accepted":
        return f"what would change it: a stricter check, or {where}.needs_person"
    return hints.get(str(code), f"what would change it: the cause named above ({code})")
