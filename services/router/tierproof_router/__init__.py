"""The router: which tier answers, what happens to its answer, and when to stop."""
