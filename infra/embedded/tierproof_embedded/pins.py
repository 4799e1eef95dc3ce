"""Digests of the local stand-in, put where the delivered fleet manifest leaves them open. Pure."""

from dataclasses import dataclass

from tierproof_contracts.documents import FleetManifest, TierSpec, TriageSpec

OPEN = "sha256:" + "0" * 64
PINNED = ("weights", "tokenizer", "engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the local model server serves: digests of weights, tokenizer and engine settings; and those of the triage model."""

    weights: str
    tokenizer: str
    engine: str
    triage: "Pins | None" = None


def open_pins(manifest: FleetManifest) -> list[str]:
    """Return the places whose digest is open, as `tiers.s.weights`."""
    return [
        f"tiers.{tier}.{part}"
        for tier, spec in manifest.tiers.items()
        for part in PINNED
        if getattr(spec, part) == OPEN
    ] + [f"triage.{part}" for part in PINNED if manifest.triage and getattr(manifest.triage, part) == OPEN]


def filled(manifest: FleetManifest, pins: Pins) -> FleetManifest:
    """Return the manifest with its open digests filled; a digest that stands there stays."""
    tiers = {tier: spec.model_copy(update=_found(spec, pins)) for tier, spec in manifest.tiers.items()}
    triage = manifest.triage
    if triage is not None and pins.triage is not None:
        triage = triage.model_copy(update=_found(triage, pins.triage))
    return manifest.model_copy(update={"tiers": tiers, "triage": triage})


def _found(spec: TierSpec | TriageSpec, pins: Pins) -> dict[str, str]:
    return {part: getattr(pins, part) for part in PINNED if getattr(spec, part) == OPEN}
