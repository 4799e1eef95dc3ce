"""Who is killed when: drawn from a seed before anything runs. Pure."""

import random
from dataclasses import dataclass

SUBJECTS = ("ledger", "postgres", "nats")  # what the campaign is about; the witness is killed besides
TOGETHER, AGAIN, WITNESS_TOO = 0.2, 0.25, 0.15
LONGEST_WAIT, LONGEST_DOWN, LONGEST_RESTART = 0.3, 0.6, 1.5  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """Parts that are killed together, `wait` seconds after so many events are acknowledged, and started again after `down` seconds.

    `again` names one that is killed once more, so many seconds after that start: in the middle of it, perhaps.
    """

    at: int
    wait: float
    down: float
    parts: tuple[str, ...]
    again: tuple[str, float] | None = None

    @property
    def kills(self) -> int:
        """How many of the kills that were asked for this one is."""
        return sum(part in SUBJECTS for part in self.parts) + (self.again is not None)


def drawn(seed: int, *, kills: int, events: int) -> tuple[Blow, ...]:
    """Return blows of together exactly `kills` kills, spread over the events; each part gets its third (the witness comes on top)."""
    dice = random.Random(seed)
    deck = [SUBJECTS[number % len(SUBJECTS)] for number in range(kills)]
    dice.shuffle(deck)
    blows: list[tuple[tuple[str, ...], tuple[str, float] | None]] = []
    while deck:
        parts = [deck.pop()]
        others = [card for card in deck if card not in parts]
        if others and dice.random() < TOGETHER:
            parts.append(dice.choice(others))
            deck.remove(parts[-1])
        again = None
        if parts[0] in deck and dice.random() < AGAIN:
            deck.remove(parts[0])
            again = (parts[0], round(dice.uniform(0, LONGEST_RESTART), 3))
        if dice.random() < WITNESS_TOO:
            parts.append("witness")
        blows.append((tuple(parts), again))
    share = events / len(blows)
    places = [int(share * (number + dice.random())) + 1 for number in range(len(blows))]
    return tuple(
        Blow(
            at=min(at, events - 1),
            wait=round(dice.uniform(0, LONGEST_WAIT), 3),
            down=round(dice.uniform(0, LONGEST_DOWN), 3),
            parts=parts,
            again=again,
        )
        for at, (parts, again) in zip(places, blows, strict=True)
    )
