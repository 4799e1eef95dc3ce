"""Digests of the local stand-in, put where the delivered fleet manifest leaves them open. Pure."""

from dataclasses import dataclass

from tierproof_contracts.documents import FleetManifest

OPEN = "sha256:" + "0" * 64
PINNED = ("weights", "tokenizer", "engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the local model server serves: digests of weights, tokenizer and engine settings."""

    weights: str
    tokenizer: str
    engine: str


def open_pins(manifest: FleetManifest) -> list[str]:
    """Return the places whose digest is open, as `tiers.s.weights`."""
    return [
        f"tiers.{tier}.{part}"
        for tier, spec in manifest.tiers.items()
        for part in PINNED
        if getattr(spec, part) == OPEN
    ]


def filled(manifest: FleetManifest, pins: Pins) -> FleetManifest:
    """Return the manifest with its open digests filled; a digest that stands there stays."""
    tiers = {
        tier: spec.model_copy(update={part: getattr(pins, part) for part in PINNED if getattr(spec, part) == OPEN})
        for tier, spec in manifest.tiers.items()
    }
    return manifest.model_copy(update={"tiers": tiers})
