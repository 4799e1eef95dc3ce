"""Builds immutable, signed snapshots of training records, and keeps the sealed examinations out of them."""
