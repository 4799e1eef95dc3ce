"""What an operator may choose about the router. What governs its decisions is signed policy, not a setting."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from tierproof_bus import BusSettings


class RouterSettings(BusSettings):
    """The router's settings, prefix TIERPROOF_ROUTER_."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_prefix="TIERPROOF_ROUTER_", populate_by_name=True
    )

    workers: int = Field(default=8, ge=1, le=64, description="deliveries of one event type worked on at once")
