"""Tasks whose right answer stands in the prompt, for the no-op model: what remains is the road itself."""

import json
from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"id": {"enum": ["REQ-1", "REQ-2"]}, "text": {"type": "string", "minLength": 20}},
    "required": ["id", "text"],
    "additionalProperties": False,
}
INPUTS = {
    "schema": json.dumps(SCHEMA),
    "rules": json.dumps({"version": 1, "rules": [{"field": "text", "rule": "no_tbd", "value": True}]}),
    "requirements": "REQ-1\nREQ-2",
    "pattern": "REQ-[0-9]+",
}


def no_op_task(number: int, *, safety_class: str = "B", right: bool = True) -> dict[str, Any]:
    """Return the arguments of `Fleet.submit` for one task; `right=False` gives an answer that no check accepts."""
    answer = {
        "id": "REQ-1" if right else "REQ-9",
        "text": f"The pump shall stop the motor on occlusion, case {number}.",
    }
    prompt = f"Repeat the requirement.\n<<<ANSWER\n{json.dumps(answer)}\nANSWER>>>"
    return {"kind": "reg-doc-drafting", "safety_class": safety_class, "prompt": prompt, "inputs": INPUTS}
