"""Tasks with right answers, made from a specification: one module for each domain."""
