"""The order in which records are seen, fixed before training begins: a resumed job then sees what an unbroken one would."""

import random
from collections.abc import Sequence

BATCHES_SORTED_TOGETHER = 16  # batches of one length waste no padding; few enough to stay well mixed


def order_of(lengths: Sequence[int], *, batch: int, epochs: int, seed: int) -> list[int]:
    """Return the positions of the records for all epochs: shuffled, then grouped by length, then the groups shuffled.

    A rest that fills no batch is left to the end of its epoch.
    """
    chance = random.Random(f"tierproof-order|{seed}")  # noqa: S311 - a reproducible order, not a secret
    found: list[int] = []
    for _ in range(epochs):
        positions = list(range(len(lengths)))
        chance.shuffle(positions)
        chunk = batch * BATCHES_SORTED_TOGETHER
        for start in range(0, len(positions), chunk):
            found += _grouped(positions[start : start + chunk], lengths, batch, chance)
    return found


def _grouped(positions: list[int], lengths: Sequence[int], batch: int, chance: random.Random) -> list[int]:
    ordered = sorted(positions, key=lambda position: (lengths[position], position))
    batches = [ordered[start : start + batch] for start in range(0, len(ordered), batch)]
    full, rest = (batches, []) if len(batches[-1]) == batch else (batches[:-1], batches[-1])
    chance.shuffle(full)
    return [position for group in full for position in group] + rest
