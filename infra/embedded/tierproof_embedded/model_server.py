"""The model server as parts of a stack: the base model prepared once, then Triton."""

from tierproof_embedded.endpoints import Endpoints
from tierproof_embedded.layout import Layout
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part


def model_parts(_layout: Layout, settings: EmbeddedSettings, _endpoints: Endpoints) -> list[Part]:
    """Return the parts that make the tiers answer; none when a real Triton is named."""
    if settings.triton_url is not None:
        return []
    return []
