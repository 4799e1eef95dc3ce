"""A request as a classifier sees it: one vector per sentence, the mean of its tokens' states in a frozen encoder.

Each sentence is encoded by itself, so that what it says does not depend on what stands beside it. The model server does the same
(infra/model_server, encoder.py) and is told by the heads' file after what a sentence ends, and how many tokens are looked at.
"""

import re
from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

ENDS = r"(?<=[.!?:])\s+|\n+"
ENCODED_TOGETHER = 64
SHORTEST = 3  # tokens: the marks of beginning and end, and one word
Piece = tuple[int, ...]


def pieces_of(text: str, tokenizer: Tokenizer, longest: int) -> list[Piece]:
    """Return the token ids of each sentence, `longest` tokens altogether: the one that passes the limit is cut, the rest is not read."""
    found: list[Piece] = []
    for sentence in [part for part in re.split(ENDS, text) if part.strip()] or [text]:
        left = longest - sum(map(len, found))
        if left < SHORTEST:
            break
        ids = tokenizer.encode(sentence).ids
        found.append(tuple(ids if len(ids) <= left else [*ids[: left - 1], ids[-1]]))
    return found


def vectors_of(pieces: Sequence[Piece], encoder: nn.Module) -> Iterator[tuple[int, Tensor]]:
    """Yield each piece's place and vector (width), in fp32, by length of the pieces."""
    order = sorted(range(len(pieces)), key=lambda at: (len(pieces[at]), at))
    with torch.no_grad():
        for first in range(0, len(order), ENCODED_TOGETHER):
            chosen = order[first : first + ENCODED_TOGETHER]
            longest = max(len(pieces[at]) for at in chosen)
            padded = torch.tensor([[*pieces[at], *[0] * (longest - len(pieces[at]))] for at in chosen])
            there = torch.tensor([[1] * len(pieces[at]) + [0] * (longest - len(pieces[at])) for at in chosen])
            states = encoder(input_ids=padded, attention_mask=there).last_hidden_state
            yield from ((at, states[row, : len(pieces[at])].mean(0)) for row, at in enumerate(chosen))
