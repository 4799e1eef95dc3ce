"""The inference worker: one tier, one model server, one settlement per request."""
