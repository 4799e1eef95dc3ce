"""The verifier: deterministic checks of a model's answers, run where they can do no harm."""
