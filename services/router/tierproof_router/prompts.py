"""What a model is asked. Pure."""

from collections.abc import Sequence

from tierproof_contracts.documents import KindPolicy
from tierproof_contracts.task import TaskSubmittedV1
from tierproof_contracts.text import Text, derived_salt
from tierproof_contracts.verification import Finding


def compose(task: TaskSubmittedV1, kind: KindPolicy, findings: Sequence[Finding], request_id: str) -> Text:
    """Return the prompt of one request: instructions, the task, its shown inputs, and what was wrong last time.

    The salt follows from the task's, so the same request always has the same commitment.
    """
    parts = [kind.instructions, task.prompt.text]
    parts += [f"{name}:\n{task.inputs[name].text}" for name in kind.prompt_inputs if name in task.inputs]
    if findings:
        listed = "\n".join(f"- {finding.where}: {finding.note}" for finding in findings[: kind.findings_shown])
        parts.append(f"{kind.repair_instructions}\n{listed}")
    text = "\n\n".join(part for part in parts if part)
    return Text(text=text, salt=derived_salt(task.prompt.salt, f"prompt/{request_id}"))
