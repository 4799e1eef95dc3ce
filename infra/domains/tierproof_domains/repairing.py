"""What a model is asked after a refusal. A test compares it with the router's own composition."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding of the verifier: where, and what is wrong there."""

    where: str
    note: str


def composed(prompt: str, repair_instructions: str, faults: Sequence[Fault], *, instructions: str = "") -> str:
    """Return the prompt of a repair. Empty parts are left out; without faults it is the first prompt."""
    listed = "\n".join(f"- {fault.where}: {fault.note}" for fault in faults)
    parts = [instructions, prompt, f"{repair_instructions}\n{listed}" if faults else ""]
    return "\n\n".join(part for part in parts if part)
