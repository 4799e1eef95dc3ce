"""Trains adapters from locks, in jobs of their own environment."""
