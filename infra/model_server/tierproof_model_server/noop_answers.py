"""What the model without weights says: the part of the prompt that stands between marks."""

import json
import re
from collections.abc import Iterator, Sequence

from tierproof_model_server.generation import Finish

ANSWER = re.compile(r"^<<<ANSWER\n(.*?)\n?^ANSWER>>>", re.DOTALL | re.MULTILINE)
TRIAGE = "triage"
READING = re.compile(r"^<<<TRIAGE\n(.*?)\n?^TRIAGE>>>", re.DOTALL | re.MULTILINE)
NOTHING_READ = {
    "kind": "none",
    "modality": "text",
    "retrieval": "no",
    "risk": "A",
    "out_of_domain_micro": 1_000_000,
    **{f"{label}_micro": 1_000_000 for label in ("kind", "modality", "retrieval", "risk")},
}
WORD = re.compile(r"\s*\S+|\s+$")


def answer_in(prompt: str) -> str:
    """Return the text between the lines <<<ANSWER and ANSWER>>>, or else the last line."""
    marked = ANSWER.search(prompt)
    return marked.group(1) if marked else (prompt.strip().splitlines() or [""])[-1]


def reading_in(prompt: str) -> str:
    """Return the text between the lines <<<TRIAGE and TRIAGE>>>, or else that the prompt is out of the domain."""
    marked = READING.search(prompt)
    return marked.group(1) if marked else json.dumps(NOTHING_READ, sort_keys=True, separators=(",", ":"))


def said(answer: str, most_tokens: int) -> tuple[tuple[str, ...], Finish]:
    """Return the answer's words, which are its tokens, and how it ends."""
    words = WORD.findall(answer)
    return tuple(words[:most_tokens]), "stop" if len(words) <= most_tokens else "length"


def lines(words: Sequence[str]) -> Iterator[str]:
    """Yield the deltas: a line each."""
    yield from re.findall(r"[^\n]*\n|[^\n]+", "".join(words))
