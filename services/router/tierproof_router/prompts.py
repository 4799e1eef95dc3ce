"""What a model is asked. Pure."""

from collections.abc import Mapping, Sequence

from tierproof_contracts.documents import KindPolicy
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text, derived_salt
from tierproof_contracts.verification import Finding


def question(kind: KindPolicy, prompt: str, inputs: Mapping[str, str]) -> str:
    """Return what a model is asked first: the kind's instructions, the prompt, and the inputs that are shown."""
    shown = [f"{name}:\n{inputs[name]}" for name in kind.prompt_inputs if name in inputs]
    return "\n\n".join(part for part in (kind.instructions, prompt, *shown) if part)


def compose(task: TaskSubmittedV1, kind: KindPolicy, findings: Sequence[Finding], request_id: str) -> Text:
    """Return the prompt of one request: instructions, the task, its shown inputs, and what was wrong last time.

    The salt follows from the task's, so the same request always has the same commitment.
    """
    text = question(kind, task.prompt.text, {name: given.text for name, given in task.inputs.items()})
    if findings:
        listed = "\n".join(f"- {finding.where}: {finding.note}" for finding in findings[: kind.findings_shown])
        text = f"{text}\n\n{kind.repair_instructions}\n{listed}"
    return Text(text=text, salt=derived_salt(task.prompt.salt, f"prompt/{request_id}"))


def unchanged(task: TaskSubmittedV1, request_id: str) -> Text:
    """Return the prompt as the producer gave it: what the triage model reads. The same request always has the same commitment."""
    return Text(text=task.prompt.text, salt=derived_salt(task.prompt.salt, f"prompt/{request_id}"))
