"""A task's life as lines for people. Pure but for the printing."""

from typing import Any

from tierproof_contracts.questions import Story

from tierproof.cli.output import as_json, say, table


def show_story(found: Story, *, as_json_: bool) -> None:
    """Print a task's life: where each event lies in the ledger, who said it, and why."""
    if as_json_:
        as_json(found)
        return
    rows = [
        (event.index, event.type or event.kind, event.source or "ledger", reason_of(event.data))
        for event in found.events
    ]
    table(("entry", "event", "from", "reason"), rows, empty="no entries")
    say(f"{found.task_id}: {found.state}")


def reason_of(data: dict[str, Any]) -> str:
    """Return the sentence that explains an event."""
    if isinstance(data.get("because"), str):
        return str(data["because"])
    if "prompt" in data and (told := _asked(data)):
        return told
    for name in ("verdict", "settlement"):
        said = data.get(name)
        if isinstance(said, dict):
            return _said(said)
    if isinstance(data.get("reason"), str):
        who = data.get("signer") or data.get("service") or data.get("revoked_by") or ""
        return f"{who}: {data.get('verdict', '')} {data['reason']}".strip(": ")
    if "deadline" in data:
        return f"deadline {data['deadline']}"
    return f"{data.get('kind', '')} class {data.get('safety_class', '')}".strip() if "kind" in data else ""


def _asked(data: dict[str, Any]) -> str:
    """Return why a request or review was made; empty for a submission, which has no slip."""
    if data.get("purpose") == "triage":
        return "names no kind: the triage model reads one"
    slip = data.get("slip")
    attempts = slip.get("attempts") if isinstance(slip, dict) else None
    return f"tier {attempts[-1]['tier']}, {attempts[-1]['why']}: {attempts[-1]['rule']}" if attempts else ""


def _said(said: dict[str, Any]) -> str:
    findings = said.get("findings") or []
    codes = sorted({finding["code"] for answer in findings for finding in answer})
    extra = said.get("reason") or said.get("code") or ", ".join(codes)
    return f"{said['status']}{f': {extra}' if extra else ''}"
