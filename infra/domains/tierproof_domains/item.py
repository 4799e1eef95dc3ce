"""One task with a right answer. A line of a data set is an item's canonical JSON."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Split = Literal["train", "validation", "sealed"]
Phrasing = Literal["seen", "unseen"]
SPLITS: tuple[Split, ...] = get_args(Split)
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A task as a producer submits it, what its check needs, and what a right answer and plausible wrong ones are.

    `inputs` are exactly the named inputs of the verifier's check of this kind. `repair_of` is the id of the item whose wrong answer
    this one repairs, or empty. `id` follows from everything else: give none.
    """

    kind: str
    split: Split
    phrasing: Phrasing
    family: str
    prompt: str
    inputs: Mapping[str, str]
    answer: str
    rejected: tuple[str, ...] = ()
    repair_of: str = ""
    id: str = field(default="")

    def __post_init__(self) -> None:
        identity = hashlib.sha256(canonical(self._content()).encode()).hexdigest()[:_ID_DIGITS]
        if self.id not in {"", identity}:
            raise ValueError(f"item {self.id} has content of {identity}: it was changed after it was made")
        object.__setattr__(self, "id", identity)

    def as_line(self) -> str:
        """Return the item as one line of canonical JSON, without the line's end."""
        return canonical({"id": self.id, **self._content()})

    def _content(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "split": self.split, "phrasing": self.phrasing, "family": self.family, "prompt": self.prompt,
            "inputs": dict(self.inputs), "answer": self.answer, "rejected": list(self.rejected), "repair_of": self.repair_of,
        }  # fmt: skip


def canonical(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON with sorted keys and no white space, so that equal content has equal bytes."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def item_from(line: str) -> Item:
    """Return the item of one line. Raises `ValueError` for JSON of another shape and for an id that is not its content's."""
    fields = json.loads(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("rejected"), list):
        raise ValueError("this line is not an item")  # noqa: TRY004 - a fault of the text, not of a caller's type
    try:
        return Item(**{**fields, "rejected": tuple(fields["rejected"])})
    except TypeError as error:
        raise ValueError(f"this line is not an item ({error})") from None
