"""Proofs that hold without us: RFC 6962 trees, C2SP notes and checkpoints, DSSE envelopes, and the keys that sign them."""
