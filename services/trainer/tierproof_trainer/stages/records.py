"""Records of a snapshot as token ids, word for word as the model server will see them.

A prompt travels through the base's chat template there, so it does here. Loss is on the completion and its end token alone.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset

from tierproof_trainer.stages.job import StageFailed

IGNORED = -100  # the label on which no loss is computed


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a snapshot in its order."""
    with path.open() as file:
        for line in file:
            yield json.loads(line)


def texts(path: Path, tokenizer: Any, longest: int) -> Dataset:  # noqa: ANN401 - a tokenizer of transformers
    """Return records with `text` for continued pretraining: every token counts."""

    def encoded(record: dict[str, Any]) -> dict[str, Any]:
        ids = [*tokenizer(record["text"], add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        return {"input_ids": ids, "labels": list(ids)}

    return _dataset(path, encoded, longest)


def completions(path: Path, tokenizer: Any, longest: int) -> Dataset:  # noqa: ANN401
    """Return records with `prompt` and `completion`."""

    def encoded(record: dict[str, Any]) -> dict[str, Any]:
        asked = turn(tokenizer, record["prompt"])
        answer = [*tokenizer(record["completion"], add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        return {"input_ids": [*asked, *answer], "labels": [IGNORED] * len(asked) + answer}

    return _dataset(path, encoded, longest)


def preferences(path: Path) -> Dataset:
    """Return records with `prompt`, `chosen`, `rejected` in the conversational form of TRL, which renders the chat template."""
    found = [
        {
            "prompt": [{"role": "user", "content": record["prompt"]}],
            "chosen": [{"role": "assistant", "content": record["chosen"]}],
            "rejected": [{"role": "assistant", "content": record["rejected"]}],
        }
        for record in lines_of(path)
    ]
    return Dataset.from_list(found)


def turn(tokenizer: Any, prompt: str) -> list[int]:  # noqa: ANN401
    """Return the token ids of one user's turn, up to where the answer begins."""
    said = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    return list(tokenizer(said, add_special_tokens=False).input_ids)


def _dataset(path: Path, encoded: Callable[[dict[str, Any]], dict[str, Any]], longest: int) -> Dataset:
    rows = []
    for record in lines_of(path):
        row = encoded(record)
        if len(row["input_ids"]) > longest:
            because = f"record {record.get('id')}: {len(row['input_ids'])} tokens, longest_tokens allows {longest}"
            raise StageFailed(
                "too-long", because, "raise hyperparameters.longest_tokens in a new lock, or drop the record"
            )
        rows.append({**row, "length": len(row["input_ids"])})
    if not rows:
        raise StageFailed(
            "no-records", "the dataset holds no record of the form that this stage trains on", "build it anew"
        )
    return Dataset.from_list(rows)
