"""The bus runtime: what a service needs to hear, say once, and read back."""

from tierproof_bus.app import Service
from tierproof_bus.bus import Bus
from tierproof_bus.errors import (
    BusError,
    Misdirected,
    NotPermitted,
    NotSetUp,
    Refused,
    TooLarge,
    Transient,
    UntrustedDocument,
    WouldLose,
)
from tierproof_bus.messages import Published, Raw, Received
from tierproof_bus.settings import BusSettings

__all__ = [
    "Bus",
    "BusError",
    "BusSettings",
    "Misdirected",
    "NotPermitted",
    "NotSetUp",
    "Published",
    "Raw",
    "Received",
    "Refused",
    "Service",
    "TooLarge",
    "Transient",
    "UntrustedDocument",
    "WouldLose",
]
