"""A request as a classifier reads it: sentence by sentence, so that what one says does not depend on what stands beside it.

The model server does the same (infra/model_server, encoder.py) and is told by the heads' file what stands between two sentences, and how
many tokens are looked at. No torch here.
"""

import re

from tokenizers import Tokenizer

ENDS = r"(?<=[.!?:])\s+|\n+"
SHORTEST = 3  # tokens: the marks of beginning and end, and one word
Piece = tuple[int, ...]


def pieces_of(text: str, tokenizer: Tokenizer, longest: int) -> list[Piece]:
    """Return the token ids of each sentence; the one that passes `longest` tokens of the text is cut, and what follows is not read."""
    found: list[Piece] = []
    left = longest
    for sentence in [part for part in re.split(ENDS, text) if part.strip()] or [text]:
        if left < SHORTEST:
            break
        ids = tokenizer.encode(sentence).ids
        found.append(tuple(ids if len(ids) <= left else [*ids[: left - 1], ids[-1]]))
        left -= len(found[-1])
    return found
